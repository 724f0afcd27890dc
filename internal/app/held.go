package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas/avro"
)

// heldPartitions is which partitions of a role are held up: the last try to open
// one, or to write its records, failed, and it is tried again. It may be used in
// parallel.
type heldPartitions struct {
	mu   sync.Mutex
	held map[stream.TopicPartition]heldUp
}

type heldUp struct {
	err  error
	stop func() bool // of what forgets it when the assignment ends
}

// stages makes the failures of opening known until the partition is open or
// somebody else's.
func (h *heldPartitions) stages(open stream.OpenStage) stream.OpenStage {
	return func(ctx context.Context, tp stream.TopicPartition) (stream.Stage, error) {
		stage, err := open(ctx, tp)
		h.note(ctx, tp, err)
		return stage, err
	}
}

// ranges does the same for a sink, and makes the failures of writing known until
// the partition is written.
func (h *heldPartitions) ranges(open stream.OpenRange) stream.OpenRange {
	return func(ctx context.Context, c stream.Claim) (stream.RangeSink, error) {
		sink, err := open(ctx, c)
		h.note(ctx, c.TopicPartition, err)
		if err != nil {
			return nil, err
		}
		one := heldRange{sink, h, c.TopicPartition}
		if g, ok := sink.(stream.Gatherer); ok {
			return heldGatherer{one, g}, nil
		}
		return one, nil
	}
}

type heldRange struct {
	stream.RangeSink
	held *heldPartitions
	of   stream.TopicPartition
}

func (r heldRange) Write(ctx context.Context, b stream.Batch, intend stream.Intend) error {
	err := r.RangeSink.Write(ctx, b, intend)
	r.held.note(ctx, r.of, err)
	return err
}

// heldGatherer is a heldRange of a sink that gathers.
type heldGatherer struct {
	heldRange
	sink stream.Gatherer
}

func (r heldGatherer) Gather(ctx context.Context, b stream.Batch) (taken, bytes int) {
	return r.sink.Gather(ctx, b)
}

func (r heldGatherer) WriteGathered(ctx context.Context, intend stream.Intend) error {
	err := r.sink.WriteGathered(ctx, intend)
	r.held.note(ctx, r.of, err)
	return err
}

// note takes the outcome of a try. What the end of an assignment cut off says
// nothing, and who stands still is not tried again.
func (h *heldPartitions) note(ctx context.Context, tp stream.TopicPartition, err error) {
	h.forget(tp)
	if err == nil || ctx.Err() != nil || errors.As(err, new(*stream.QuarantineError)) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[stream.TopicPartition]heldUp{}
	}
	h.held[tp] = heldUp{err, context.AfterFunc(ctx, func() { h.forget(tp) })}
}

func (h *heldPartitions) forget(tp stream.TopicPartition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if up, ok := h.held[tp]; ok {
		up.stop()
		delete(h.held, tp)
	}
}

// now says why the first of the partitions is held up, and how many are; nil when
// none is.
func (h *heldPartitions) now() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.held) == 0 {
		return nil
	}
	first := slices.SortedFunc(maps.Keys(h.held), func(x, y stream.TopicPartition) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})[0]
	err := fmt.Errorf("%s[%d]: %w", first.Topic, first.Partition, h.held[first].err)
	if n := len(h.held) - 1; n > 0 {
		return fmt.Errorf("%w (and %s more)", err, plural(n, "partition"))
	}
	return err
}

// What a partition that is held up waits for.
const (
	heldForSchema = "schema"
	heldForServer = "server"
)

func waitsFor(err error) string {
	if errors.Is(err, avro.ErrUnreadable) || errors.Is(err, avro.ErrNotFound) {
		return heldForSchema
	}
	return heldForServer
}

// heldMetric shows what a role's partitions are held up by.
type heldMetric struct {
	held *heldPartitions
	desc *prometheus.Desc
}

func newHeldMetric(h *heldPartitions) heldMetric {
	return heldMetric{h, prometheus.NewDesc("pricelake_lake_held_up_partitions",
		"Partitions of this process whose records cannot be written at the moment, by what they wait for: a schema that can be read (schema), or anything else (server). They are tried again; /readyz and the log say why.",
		[]string{"topic", "waits_for"}, nil)}
}

func (m heldMetric) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

func (m heldMetric) Collect(to chan<- prometheus.Metric) {
	m.held.mu.Lock()
	defer m.held.mu.Unlock()
	counts := map[[2]string]int{}
	for tp, up := range m.held.held {
		counts[[2]string{tp.Topic, waitsFor(up.err)}]++
	}
	for labels, n := range counts {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, float64(n), labels[0], labels[1])
	}
}
