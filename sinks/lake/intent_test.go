package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

// group is what a consumer group remembers of one partition, and the log behind
// it.
type group struct {
	t         *testing.T
	records   []stream.Record
	mu        sync.Mutex
	owner     int
	committed int64
	metadata  string
}

// priceLog is a group over n prices of two months, with a marker after every
// third as transactions leave them.
func priceLog(t *testing.T, n int) *group {
	g := &group{t: t}
	offset := int64(0)
	for i := range n {
		p := somePrice(t, i)
		p.EventTime = p.EventTime.AddDate(0, -(i % 2), 0)
		r := record(t, schemas.TopicPrices, offset, p)
		r.TopicID = topicID
		g.records = append(g.records, r)
		if offset++; i%3 == 2 {
			offset++
		}
	}
	return g
}

// claim is the partition in the hands of a new owner.
func (g *group) claim() stream.Claim {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owner++
	owner := g.owner
	return stream.Claim{
		TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices}, TopicID: topicID,
		Committed: g.committed, Metadata: g.metadata,
		Reread: sinktest.Log(func() []stream.Record { return g.records }),
		Intend: func(_ context.Context, first int64, metadata string) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			if owner != g.owner {
				return errors.New("the group has gone on without this member")
			}
			g.committed, g.metadata = first, metadata
			return nil
		},
	}
}

func (g *group) batch() stream.Batch {
	return stream.Batch{Topic: schemas.TopicPrices, TopicID: topicID, Records: g.records}
}

// open claims the partition and hands over all of the log.
func (g *group) open(store sinks.Store, letters stream.Publisher) error {
	claim := g.claim()
	s, err := sinks.NewHandler(handlerOptions(store, letters)).Open(g.t.Context(), claim)
	if err != nil {
		return err
	}
	return s.Write(g.t.Context(), g.batch(), claim.Intend)
}

func (g *group) once(l *Lake, missing ...int64) {
	g.t.Helper()
	rows, want := ask(g.t, l, "SELECT count(), uniqExact(_offset), uniqExact(event_id, revision) FROM prices"), len(g.records)-len(missing)
	if rows != fmt.Sprintf("%d\t%d\t%d", want, want, want) {
		g.t.Errorf("rows, offsets, events = %s, want %d of each", rows, want)
	}
}

// forgetTokens makes the server lose its log of tokens, as a power failure may.
func forgetTokens(t *testing.T, l *Lake) {
	t.Helper()
	for _, window := range []int{0, 10000} {
		if err := l.conn.Exec(t.Context(), fmt.Sprintf("ALTER TABLE prices MODIFY SETTING non_replicated_deduplication_window = %d", window)); err != nil {
			t.Fatal(err)
		}
	}
}

// The tokens of a range that is there are gone, and its commit never came: the
// next owner finds the rows by their lineage.
func TestTokensLostBetweenAttempts(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g := priceLog(t, 40)
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	if g.metadata == "" || g.committed != 0 {
		t.Fatalf("no intent is open: offset %d with %q", g.committed, g.metadata)
	}
	forgetTokens(t, l)
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	g.once(l)
}

// A token was used up by an INSERT whose rows are gone: they are written under the
// next attempt, which the intent says.
func TestBurnedToken(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g := priceLog(t, 40)
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices DELETE WHERE _offset % 2 = 0 SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(g.metadata, "attempt=1") {
		t.Errorf("the intent is %q, want attempt 1", g.metadata)
	}
	g.once(l)
}

// held is a store whose first write waits before its first byte, as a process that
// was stopped there does.
type held struct {
	sinks.Store
	once    sync.Once
	reached chan struct{}
	wake    chan struct{}
}

func (h *held) Write(ctx context.Context, b sinks.Block) error {
	h.once.Do(func() {
		close(h.reached)
		<-h.wake
	})
	return h.Store.Write(ctx, b)
}

// A sink that was frozen between its intent and its INSERT wakes when another has
// taken over and written the range: its INSERT adds nothing, and it can commit
// nothing.
func TestFrozenSinkWakesAfterATakeover(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g := priceLog(t, 40)
	frozen := &held{Store: openSink(t, l), reached: make(chan struct{}), wake: make(chan struct{})}
	claim := g.claim()
	s, err := sinks.NewHandler(handlerOptions(frozen, new(published))).Open(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	woke := make(chan error)
	go func() { woke <- s.Write(t.Context(), g.batch(), claim.Intend) }()
	<-frozen.reached
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	g.once(l)
	close(frozen.wake)
	if err := <-woke; err != nil {
		t.Errorf("the repeat of a range that is there: %v", err)
	}
	g.once(l)
	next := g.batch()
	next.Records = slices.Clone(next.Records)
	for i := range next.Records {
		next.Records[i].Offset += 1000
	}
	if err := s.Write(t.Context(), next, claim.Intend); err == nil {
		t.Error("a sink that was taken over could go on")
	}
	g.once(l)
}

// The group forgot everything: the lake is the second source of the position.
func TestCommittedOffsetsWiped(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g := priceLog(t, 40)
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	g.committed, g.metadata = 0, ""
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	if g.metadata != "" {
		t.Errorf("something was to be written again: %s", g.metadata)
	}
	g.once(l)
}
