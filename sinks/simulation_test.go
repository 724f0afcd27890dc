package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

var (
	errKilled = errors.New("killed")
	errFenced = errors.New("the group has gone on")
)

// simulation is a partition, the group's memory of it and a store that fails,
// lies, burns names and forgets them, with owners that are killed between any two
// steps, or freeze with a write on its way that arrives much later.
type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	m       *sinktest.Memory
	records []stream.Record
	values  map[int64]string
	// frozen: writes may be on their way when their owner ends. forgets: the
	// store may lose its names. Not both: no protocol survives a store that
	// takes a write that comes hours later for a new one.
	frozen, forgets bool
	// gathers: ranges are handed over bit by bit where the sink takes them so.
	gathers bool
	// asks: the store is asked beforehand about rows that are gathered.
	asks bool
	// most is how many records a range has at most.
	most int

	committed int64
	metadata  string
	owner     int
	onTheWay  []sinks.Block
	letters   map[string]int
	kills     int
	gathered  int // ranges that were
	askings   int
	commits   int
	trace     uint64
}

func (s *simulation) note(format string, args ...any) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%x ", s.trace)
	fmt.Fprintf(h, format, args...)
	s.trace = h.Sum64()
}

// killed ends the owner at a step, now and then.
func (s *simulation) killed(step string) bool {
	if s.rng.IntN(40) > 0 {
		return false
	}
	s.note("kill at %s", step)
	s.kills++
	return true
}

// owner is what one process sees of the world.
type owner struct {
	*simulation
	number int
	dead   bool
}

func (o *owner) Write(ctx context.Context, b sinks.Block) error {
	if o.dead || o.killed("write") {
		o.dead = true
		return errKilled
	}
	if o.frozen && o.rng.IntN(30) == 0 {
		o.note("frozen with %v %d", b.Range, b.Attempt)
		b.Records = append([]stream.Record(nil), b.Records...)
		o.onTheWay = append(o.onTheWay, b)
		o.dead = true
		return errKilled
	}
	if o.forgets && o.rng.IntN(20) == 0 {
		o.note("names forgotten")
		o.m.Forget()
	}
	err := o.m.Write(ctx, b)
	o.note("write %v attempt %d of %d: %v", b.Range, b.Attempt, len(b.Records), err)
	if o.killed("written") {
		o.dead = true
		return errKilled
	}
	return err
}

func (o *owner) Present(ctx context.Context, r sinks.Range) (sinks.Offsets, error) {
	if o.dead || o.killed("present") {
		o.dead = true
		return sinks.Offsets{}, errKilled
	}
	return o.m.Present(ctx, r)
}

func (o *owner) Fence(context.Context, sinks.Partition) error { return nil }

func (o *owner) Publish(_ context.Context, rs ...stream.Record) error {
	if o.dead || o.killed("publish") {
		o.dead = true
		return errKilled
	}
	for i := range rs {
		o.letters[string(rs[i].Key)]++
	}
	if o.killed("published") {
		o.dead = true
		return errKilled
	}
	return nil
}

func (o *owner) intend(_ context.Context, first int64, metadata string) error {
	if o.dead || o.killed("intend") {
		o.dead = true
		return errKilled
	}
	if o.number != o.owner {
		return errFenced
	}
	if len(metadata) > 1024 {
		o.t.Errorf("an intent of %d bytes", len(metadata))
	}
	o.commit(first, metadata)
	if o.killed("intended") {
		o.dead = true
		return errKilled
	}
	return nil
}

func (s *simulation) commit(next int64, metadata string) {
	if next < s.committed {
		s.t.Errorf("the position went back from %d to %d", s.committed, next)
	}
	s.note("commit %d %s", next, metadata)
	s.commits++
	s.committed, s.metadata = next, metadata
}

// arrive delivers writes that were on their way.
func (s *simulation) arrive(all bool) {
	for len(s.onTheWay) > 0 && (all || s.rng.IntN(3) == 0) {
		b := s.onTheWay[0]
		s.onTheWay = s.onTheWay[1:]
		fault := s.m.Fault
		s.m.Fault = nil
		s.note("late %v: %v", b.Range, s.m.Write(s.t.Context(), b))
		s.m.Fault = fault
	}
}

// store is what an owner has for a store.
func (s *simulation) store(o *owner) sinks.Store {
	if s.asks {
		return sinktest.Asked{Store: o, Every: 2, Times: &s.askings}
	}
	if s.gathers {
		return sinktest.Gathering{Store: o}
	}
	return o
}

// cut is the writing of a range of the first of some records, and how many those
// are. Where the sink gathers it was handed them bit by bit, in memory that
// others get then.
func (s *simulation) cut(sink stream.RangeSink, rs []stream.Record) (write func(stream.Intend) error, taken int) {
	g, ok := sink.(stream.Gatherer)
	for ok && taken < len(rs) {
		bit := slices.Clone(rs[taken : taken+1+s.rng.IntN(len(rs)-taken)])
		n, _ := g.Gather(s.t.Context(), stream.Batch{Topic: topic, Records: bit})
		taken += n
		if n < len(bit) {
			break
		}
		clear(bit)
	}
	if taken > 0 {
		s.gathered++
		return func(intend stream.Intend) error { return g.WriteGathered(s.t.Context(), intend) }, taken
	}
	b := stream.Batch{Topic: topic, Records: rs}
	return func(intend stream.Intend) error { return sink.Write(s.t.Context(), b, intend) }, len(rs)
}

// life is one owner, from its claim to its death or the end of the log.
func (s *simulation) life() {
	s.owner++
	o := &owner{simulation: s, number: s.owner}
	h := sinks.NewHandler(sinks.Options{
		Store: s.store(o), Publisher: o, Epoch: 1, Writer: fmt.Sprint(s.owner), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		DeadLetter: func(in *stream.Record, _ schemas.DeadReason, _ error) (stream.Record, error) {
			return stream.Record{Topic: schemas.TopicDeadLetters, Key: fmt.Append(nil, in.Offset)}, nil
		},
	})
	reread := sinktest.Log(func() []stream.Record { return s.records })
	sink, err := h.Open(s.t.Context(), stream.Claim{
		TopicPartition: stream.TopicPartition{Topic: topic}, Committed: s.committed, Metadata: s.metadata,
		Reread: reread, Intend: o.intend,
	})
	s.note("open: %v", err)
	if err != nil {
		return
	}
	rest, _ := reread.All(s.t.Context(), s.committed, 1<<40)
	for len(rest) > 0 {
		s.arrive(false)
		n := min(len(rest), 1+s.rng.IntN(s.most))
		write, taken := s.cut(sink, rest[:n])
		n = taken
		last := rest[n-1].Offset
		for err := write(o.intend); err != nil; err = write(o.intend) {
			s.note("batch: %v", err)
			if o.dead || s.rng.IntN(8) == 0 {
				return
			}
		}
		if rest = rest[n:]; len(rest) == 0 || s.rng.IntN(4) == 0 {
			s.commit(last+1, "")
		}
	}
}

func simulate(t *testing.T, seed uint64, gathers bool) *simulation {
	s := &simulation{t: t, gathers: gathers, rng: rand.New(rand.NewPCG(seed, 7)), m: sinktest.NewMemory(), letters: map[string]int{}}
	s.m.Lies = seed%2 == 0
	s.frozen, s.forgets = seed%4 < 2, seed%4 >= 2
	s.m.Fault = func(sinks.Block) sinktest.Fault { return sinktest.Fault(max(0, s.rng.IntN(30)-25)) }
	switch (seed / 4) % 3 {
	case 1:
		s.m.Blame = func(index int) int { return index }
	case 2: // it is wrong, now and then
		s.m.Blame = func(index int) int { return index - 1 + s.rng.IntN(3) }
	}
	s.m.Parts = seed%8 < 4
	s.m.Names = seed/12%3 == 2
	// Who may ask is told of every row: a search would cut a block otherwise than one
	// who could ask before it.
	s.asks = gathers && s.m.Names && seed/36%2 == 1
	n := 30
	s.most = 12
	if seed%50 > 47 { // many are refused of a range
		n, s.most = 400, 300
	}
	offsets, values, good := history(s.rng, n)
	s.values = values
	s.records = batch(0, values, offsets...).Records
	end := offsets[len(offsets)-1] + 1
	for s.committed < end {
		s.life()
	}
	s.arrive(true)
	want(t, s.m, 0, good...)
	if n := len(offsets) - len(good); len(s.letters) != n {
		t.Errorf("dead letters of %d records, want %d", len(s.letters), n)
	}
	return s
}

// frozenRests are stories of an owner that found a refused record, and froze with
// the rest of the range on its way under the name of the whole, before anybody
// could know of that record.
var frozenRests = []uint64{16401, 30045, 38997, 39825, 40233, 45693}

// Whoever is killed or frozen wherever, and whatever the store does, each record
// has one row or a dead letter in the end, and the position never goes back. The
// same seed is the same story.
func TestIntentsUnderKills(t *testing.T) {
	for name, gathers := range map[string]bool{"as batches": false, "gathered": true} {
		t.Run(name, func(t *testing.T) { manyStories(t, gathers) })
	}
}

func manyStories(t *testing.T, gathers bool) {
	kills, gathered, askings, seeds := 0, 0, 0, uint64(6000)
	if testing.Short() {
		seeds = 1000
	}
	stories := slices.Clone(frozenRests)
	for seed := range seeds {
		stories = append(stories, seed)
	}
	for _, seed := range stories {
		s := simulate(t, seed, gathers)
		kills += s.kills
		gathered += s.gathered
		askings += s.askings
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		if seed%100 == 0 {
			if again := simulate(t, seed, gathers); again.trace != s.trace {
				t.Fatalf("seed %d: two stories", seed)
			}
		}
	}
	t.Logf("%d stories, %d kills, %d ranges gathered, the store asked %d times", len(stories), kills, gathered, askings)
	if kills < int(seeds) {
		t.Error("hardly anybody was killed: the test shows little")
	}
	if gathers && (gathered < 2*int(seeds) || askings < int(seeds)/20) {
		t.Errorf("%d ranges were gathered, the store asked %d times: the test shows little", gathered, askings)
	}
}
