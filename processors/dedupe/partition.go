package dedupe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// syncEvery is how much of the input's time may pass between syncs.
const syncEvery = 5 * time.Second

// partition is the stage of one partition.
type partition struct {
	d     *Deduplicator
	out   stream.TopicPartition
	dir   string
	state *state
	turn  uint64 // number of the batch handled last
	// synced is the time of the input at which the state was last synced.
	synced time.Time

	// Of the batch at hand, kept for their memory. ids are its event ids
	// without repetitions, known says where in ids an id is; entries and found
	// say what is remembered of each, and, as the batch goes on, what it adds:
	// they are the overlay that the state takes over when it has committed.
	price        schemas.Price
	observations []observed
	known        map[schemas.ID]int
	ids          []schemas.ID
	entries      []entry
	found        []bool
}

// observed is an input record that could be read, or why it could not.
type observed struct {
	observation
	index    int // in ids
	provider string
	verbatim bool // its bytes can be passed on as revision 0
	dead     error
}

// made is what one batch gives.
type made struct {
	turn      uint64
	until     time.Time // of its last record
	buffer    processors.Buffer
	records   []stream.Record
	passed    []change // the entry that goes with records[at[i]]
	at        []int
	tally     processors.Tally
	repeats   map[string]int // by provider
	revisions map[string]int
}

// Handle drops the repeats of a batch. The state stays as it is until the
// batch's transaction has committed, so a batch that comes again is judged as
// at first.
func (p *partition) Handle(ctx context.Context, b stream.Batch) (stream.Output, error) {
	if len(b.Records) == 0 {
		return stream.Output{}, nil
	}
	start := p.d.config.Now()
	if err := p.headroom(); err != nil {
		return stream.Output{}, err
	}
	if err := p.observe(ctx, b.Records); err != nil {
		return stream.Output{}, err
	}
	if err := p.state.lookup(p.ids, p.entries, p.found); err != nil {
		return stream.Output{}, fmt.Errorf("reading the state in %q: %w", p.dir, err)
	}
	p.turn++
	m := &made{
		turn:      p.turn,
		until:     b.Records[len(b.Records)-1].Timestamp,
		records:   make([]stream.Record, 0, len(p.ids)),
		passed:    make([]change, 0, len(p.ids)),
		at:        make([]int, 0, len(p.ids)),
		repeats:   map[string]int{},
		revisions: map[string]int{},
	}
	for i := range b.Records {
		if err := p.judge(ctx, &b.Records[i], &p.observations[i], m); err != nil {
			r := &b.Records[i]
			return stream.Output{}, fmt.Errorf("deduplicating %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
	}
	p.d.metrics.stage.Handled(p.d.config.Now().Sub(start))
	return stream.Output{Records: m.records, Committed: func(_ context.Context, published []stream.Record) error {
		return p.committed(m, published)
	}}, nil
}

// Close closes the state. What it remembers is on disk.
func (p *partition) Close() error {
	p.d.track(p.state, false)
	return p.state.close()
}

// headroom refuses work when the state's disk is nearly full.
func (p *partition) headroom() error {
	usage, err := p.d.fs.GetDiskUsage(p.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the free space of %q: %w", p.dir, err)
	}
	if usage.AvailBytes < minFreeBytes {
		return fmt.Errorf("the disk of %q has only %d MiB free: free at least %d MiB, deduplication waits for it",
			p.dir, usage.AvailBytes>>20, minFreeBytes>>20)
	}
	return nil
}

// observe reads the batch and lists its ids.
func (p *partition) observe(ctx context.Context, records []stream.Record) error {
	p.observations, p.ids = p.observations[:0], p.ids[:0]
	clear(p.known)
	for i := range records {
		o, err := p.read(ctx, &records[i])
		if err != nil {
			r := &records[i]
			return fmt.Errorf("decoding %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		if o.dead == nil {
			index, ok := p.known[o.id]
			if !ok {
				index = len(p.ids)
				p.known[o.id] = index
				p.ids = append(p.ids, o.id)
			}
			o.index = index
		}
		p.observations = append(p.observations, o)
	}
	p.entries = append(p.entries[:0], make([]entry, len(p.ids))...)
	p.found = append(p.found[:0], make([]bool, len(p.ids))...)
	return nil
}

var errNoEventID = errors.New("the price has no event_id")

func (p *partition) read(ctx context.Context, r *stream.Record) (observed, error) {
	p.price = schemas.Price{}
	err := p.d.config.Decoder.Decode(ctx, r.Value, &p.price)
	if _, final := processors.Rejected(err); final {
		return observed{dead: err}, nil
	}
	if err != nil {
		return observed{}, err
	}
	if p.price.EventID.IsZero() {
		return observed{dead: processors.Reject(schemas.DeadInvalid, errNoEventID)}, nil
	}
	return observed{
		observation: observe(&p.price),
		provider:    p.price.Provider,
		verbatim:    p.price.Revision == 0,
	}, nil
}

// judge decides about one record.
func (p *partition) judge(ctx context.Context, r *stream.Record, o *observed, m *made) error {
	if o.dead != nil {
		return p.bury(r, o.dead, m)
	}
	var known *entry
	if p.found[o.index] {
		known = &p.entries[o.index]
	}
	revision, pass := decide(known, &o.observation)
	if !pass {
		m.tally.Filtered++
		m.repeats[o.provider]++
		return nil
	}
	value, err := p.value(ctx, r, o, revision, &m.buffer)
	if _, final := processors.Rejected(err); final {
		return p.bury(r, err, m)
	}
	if err != nil {
		return err
	}
	e := entry{revision: revision, withdrawn: o.withdrawn, values: o.values}
	p.entries[o.index], p.found[o.index] = e, true
	m.passed, m.at = append(m.passed, change{o.id, e}), append(m.at, len(m.records))
	m.records = append(m.records, stream.Record{
		Topic:     p.out.Topic,
		Partition: p.out.Partition,
		Key:       m.buffer.Copy(r.Key),
		Value:     value,
	})
	m.tally.Published++
	m.tally.Outputs++
	if revision > 0 {
		m.revisions[o.provider]++
	}
	return nil
}

// value returns the bytes to publish: those that came in where the revision
// stays 0, which is nearly always, else the price with its revision.
func (p *partition) value(ctx context.Context, r *stream.Record, o *observed, revision int32, b *processors.Buffer) ([]byte, error) {
	if revision == 0 && o.verbatim {
		return b.Copy(r.Value), nil
	}
	p.price = schemas.Price{}
	if err := p.d.config.Decoder.Decode(ctx, r.Value, &p.price); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	p.price.Revision = revision
	value, err := b.Append(func(dst []byte) ([]byte, error) { return p.d.config.Encoder.Append(dst, &p.price) })
	return value, processors.Reject(schemas.DeadInvalid, err)
}

func (p *partition) bury(r *stream.Record, cause error, m *made) error {
	reason, _ := processors.Rejected(cause)
	letter, err := p.d.dead.Record(&m.buffer, r, reason, cause)
	if err != nil {
		return err
	}
	m.records = append(m.records, letter)
	m.tally.Dead = append(m.tally.Dead, reason)
	return nil
}

// syncDue says whether the state is to be synced with the batch whose input
// ends at t: every syncEvery of the input's time. So the state of a partition
// that falls silent is on disk but for its last moments, and what a crash takes
// is still in the log, however short the topic's retention. A sync with every
// batch would make the stage wait for a disk that it shares.
func (p *partition) syncDue(t time.Time) bool {
	if since := t.Sub(p.synced); since > -syncEvery && since < syncEvery {
		return false
	}
	p.synced = t
	return true
}

// remember writes what a committed batch adds to the state.
func (p *partition) remember(m *made, at checkpoint) error {
	points := p.d.config.Failpoints
	if err := points.Hit(failpoint.DedupeApplying); err != nil {
		return err
	}
	if err := p.state.apply(m.passed, at, p.syncDue(m.until)); err != nil {
		return err
	}
	return points.Hit(failpoint.DedupeApplied)
}

// committed remembers what a batch has published, now that it is durable.
func (p *partition) committed(m *made, published []stream.Record) error {
	if m.turn != p.turn || len(published) != len(m.records) {
		return fmt.Errorf("batch %d of %s[%d] committed out of turn, after batch %d", m.turn, p.out.Topic, p.out.Partition, p.turn)
	}
	p.turn++ // a second call is out of turn
	if len(m.passed) > 0 {
		for i, at := range m.at {
			m.passed[i].entry.offset = published[at].Offset
		}
		at := checkpoint{next: m.passed[len(m.passed)-1].entry.offset + 1, marker: true}
		if at.next <= p.state.at.next {
			return fmt.Errorf("records of %s[%d] were published at offset %d, below the checkpoint %d: another owner writes to the partition",
				p.out.Topic, p.out.Partition, at.next-1, p.state.at.next)
		}
		if err := p.remember(m, at); err != nil {
			return fmt.Errorf("updating the state in %q: %w", p.dir, err)
		}
	}
	p.d.metrics.add(m)
	return nil
}
