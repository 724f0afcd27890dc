package kafka_test

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
)

// gauge returns the value of one series.
func gauge(t *testing.T, reg *prometheus.Registry, name string, labels map[string]string) (float64, bool) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			if maps.Equal(has, labels) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
			}
		}
	}
	return 0, false
}

// testTransactReopen: a stage that is opened anew does not make the partition
// look as if nothing of it were settled.
func testTransactReopen(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	tr := c.transact(t, group, in, 1)
	reg := prometheus.NewRegistry()
	tr.Config.Registerer = reg
	var opens atomic.Int64
	release := make(chan struct{})
	stage := stream.StageFunc(func(context.Context, stream.Batch) (stream.Output, error) {
		return stream.Output{Committed: func(context.Context, []stream.Record) error { return errors.New("injected") }}, nil
	})
	c.number(t, in, 1, 0, 50)
	start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(ctx context.Context, _ stream.TopicPartition) (stream.Stage, error) {
			if opens.Add(1) > 1 {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return stage, ctx.Err()
		})
	})
	eventually(t, "the stage to be opened anew", func() bool { return opens.Load() == 2 })
	labels := map[string]string{"group": group, "topic": in, "partition": "0"}
	// Apache Kafka shows a committed offset a moment after it has answered the
	// end of its transaction.
	eventually(t, "the lag to be what is not committed", func() bool {
		lag, ok := gauge(t, reg, "pricelake_kafka_lag_records", labels)
		return ok && lag == 50-float64(c.committed(t, group, in)[0])
	})
	close(release)
}

// testRangeStandsStill: a partition that cannot be read says so by its age.
func testRangeStandsStill(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	offsets := kadm.Offsets{}
	offsets.AddOffset(in, 0, 100, -1) // the log is empty
	if err := kadm.NewClient(c.client(t)).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	reg := prometheus.NewRegistry()
	r.Config.Registerer = reg
	run := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	labels := map[string]string{"group": group, "topic": in, "partition": "0"}
	eventually(t, "an age that grows", func() bool {
		age, ok := gauge(t, reg, "pricelake_kafka_unsettled_age_seconds", labels)
		return ok && age > 0.1
	})
	run.stop(t)
	if _, ok := gauge(t, reg, "pricelake_kafka_unsettled_age_seconds", labels); ok {
		t.Error("the series outlives the loop")
	}
}
