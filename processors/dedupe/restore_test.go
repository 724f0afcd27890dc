package dedupe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// fakeLake has loaded what the log held at some time.
type fakeLake struct {
	t    testing.TB
	rows []lakeRow
	// earlier are what it holds of other topics.
	earlier []Held
	asked   error // what it answers instead
	after   int   // rows it gives before it breaks; 0: all
	given   int
}

type lakeRow struct {
	offset int64
	price  schemas.Price
}

// load takes what the log holds below end of partition 0, in no order.
func (l *fakeLake) load(r *rig, end int64) {
	for _, rec := range r.log.committed(0) {
		if rec.Offset < end {
			l.rows = append(l.rows, lakeRow{rec.Offset, r.prices([]stream.Record{rec})[0]})
		}
	}
	rand.Shuffle(len(l.rows), func(i, j int) { l.rows[i], l.rows[j] = l.rows[j], l.rows[i] })
}

func (l *fakeLake) Holds(ctx context.Context, out stream.TopicPartition) ([]Held, error) {
	if l.asked != nil {
		return nil, l.asked
	}
	held := slices.Clone(l.earlier)
	if len(l.rows) > 0 {
		h := Held{TopicID: stream.TopicID{0xab, 15: 1}, First: l.rows[0].offset, Rows: int64(len(l.rows))}
		for _, row := range l.rows {
			h.First, h.Last = min(h.First, row.offset), max(h.Last, row.offset)
		}
		held = append(held, h)
	}
	return held, ctx.Err()
}

func (l *fakeLake) Prices(_ context.Context, out stream.TopicPartition, id stream.TopicID, from, to int64, each func(int64, *schemas.Price) error) error {
	if out.Topic != schemas.TopicPrices || id != (stream.TopicID{0xab, 15: 1}) {
		l.t.Errorf("asked for %v of topic %v", out, id)
	}
	l.given = 0
	for _, row := range l.rows {
		if row.offset < from || row.offset >= to {
			continue
		}
		// Only what the interface promises.
		p := schemas.Price{EventID: row.price.EventID, Revision: row.price.Revision, Withdrawn: row.price.Withdrawn,
			Price: row.price.Price, Bid: row.price.Bid, Ask: row.price.Ask, Size: row.price.Size}
		if err := each(row.offset, &p); err != nil {
			return err
		}
		if l.given++; l.given == l.after {
			return errBroken
		}
	}
	return nil
}

// lostDisk is a rig whose events are in a lake, whose disk is another one, and
// whose log begins at first.
func lostDisk(t *testing.T, first int64) (*rig, *fakeLake, *bytes.Buffer) {
	r := seeded(t)
	l := &fakeLake{t: t}
	l.load(r, first)
	logged := new(bytes.Buffer)
	r.lake, r.fs, r.logged = l, vfs.NewCrashableMem(), logged
	r.log.retain(0, first)
	r.start()
	return r, l, logged
}

func (r *rig) openError() error {
	r.t.Helper()
	s, err := r.d.Open(r.t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved})
	if err == nil {
		mustClose(r.t, s)
	}
	return err
}

func TestRestore(t *testing.T) {
	for first := range int64(7) { // records are at 0, 1, 3 and 4, markers at 2 and 5
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			r, l, _ := lostDisk(t, first)
			if got := r.replayed(); len(got) > 0 {
				t.Errorf("published again: %q", got)
			}
			r.wantMetric("pricelake_dedupe_state_restored_total", float64(len(l.rows)))
			r.wantMetric("pricelake_dedupe_state_replayed_total", float64(4-len(l.rows)))
			r.wantMetric("pricelake_dedupe_state_gap_total", 0)
			// What is restored has its revision: the next one follows it.
			s := r.open(0)
			got := told(r.prices(r.run(s, input(t, 0, fixing("EUR-USD", 1, "3")), true)))
			mustClose(t, s)
			if want := []string{"EUR-USD 01-02 r2 3"}; !slices.Equal(got, want) {
				t.Errorf("a correction was published as %q, want %q", got, want)
			}
			r.lake = nil // it is asked once
			r.start()
			if got := r.replayed(); len(got) != 1 {
				t.Errorf("published again after a restart: %q, want what was corrected only", got)
			}
		})
	}
}

// The store is there, but another owner has published since, and retention has
// removed that.
func TestRestoreBehindTheState(t *testing.T) {
	r := seeded(t)
	l := &fakeLake{t: t}
	rs := input(t, 0, fixing("EUR-USD", 3, "1"), fixing("EUR-USD", 4, "1")).Records
	for i := range rs {
		rs[i].Topic = schemas.TopicPrices
	}
	r.log.transact(0, rs, true)
	l.load(r, 8)
	r.lake = l
	r.log.retain(0, 9)
	r.start()
	s := r.open(0)
	defer mustClose(t, s)
	if got := told(r.prices(r.run(s, input(t, 0, fixing("EUR-USD", 3, "1"), fixing("EUR-USD", 4, "1")), true))); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	r.wantMetric("pricelake_dedupe_state_restored_total", 2)
	r.wantMetric("pricelake_dedupe_state_gap_total", 0)
}

// A lake that does not answer is waited for: nothing is guessed.
func TestRestoreWaitsForTheLake(t *testing.T) {
	r, l, _ := lostDisk(t, 6)
	l.asked = errBroken
	for range 3 {
		if err := r.openError(); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "lake") {
			t.Fatalf("opening without a lake gave %v", err)
		}
	}
	l.asked = nil
	for after := 1; after < len(l.rows); after++ {
		l.after = after // it breaks in the middle
		if err := r.openError(); !errors.Is(err, errBroken) {
			t.Fatalf("opening with a lake that broke off gave %v", err)
		}
	}
	l.after = 0
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	r.wantMetric("pricelake_dedupe_state_gap_total", 0)
}

// A deduplicator that lacks nothing needs no lake.
func TestNoLakeNeeded(t *testing.T) {
	r, l, logged := lostDisk(t, 0)
	l.asked = errBroken
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	if !strings.Contains(logged.String(), "earlier topic") {
		t.Errorf("nothing was said of the lake that did not answer:\n%s", logged)
	}
	r.start()
	logged.Reset()
	if got := r.replayed(); len(got) > 0 || strings.Contains(logged.String(), "lake") {
		t.Errorf("the second time published %q and said:\n%s", got, logged)
	}
}

// What neither the log nor the lake holds is told with its offsets.
func TestRestoreWithGap(t *testing.T) {
	r, l, logged := lostDisk(t, 6)
	l.rows = slices.DeleteFunc(l.rows, func(row lakeRow) bool { return row.offset > 1 })
	got := r.replayed()
	if want := []string{"EUR-USD 01-02 r1 2", "EUR-USD 01-03 r0 1"}; !slices.Equal(got, want) {
		t.Errorf("published %q, want %q", got, want)
	}
	r.wantMetric("pricelake_dedupe_state_gap_total", 3)
	if !strings.Contains(logged.String(), "first_unseen=3 first_retained=6") {
		t.Errorf("the gap was not told:\n%s", logged)
	}
}

func TestRestoreTellsOfAnEarlierTopic(t *testing.T) {
	for _, first := range []int64{0, 6} {
		r, l, logged := lostDisk(t, first)
		l.earlier = []Held{{TopicID: stream.TopicID{0xee}, Last: 10, Rows: 7}}
		if got := r.replayed(); len(got) > 0 {
			t.Errorf("published again: %q", got)
		}
		r.wantMetric("pricelake_dedupe_earlier_topics_total", 1)
		if id := "ee000000-0000-0000-0000-000000000000"; strings.Count(logged.String(), id) != 1 {
			t.Errorf("the earlier topic was not told, or more than once:\n%s", logged)
		}
	}
}

// Retention goes on while the log is read.
func TestRestoreOvertakenByRetention(t *testing.T) {
	r, l, _ := lostDisk(t, 3)
	l.load(r, 6) // it has loaded what retention is about to remove
	r.log.reading = func() {
		r.log.reading = nil
		r.log.retain(0, 6)
	}
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	r.wantMetric("pricelake_dedupe_state_gap_total", 0)
}

// Many batches: memory is bounded by one, and the last revision of each event
// stays, whatever the order.
func TestRestoreManyInAnyOrder(t *testing.T) {
	const events, revisions = 3000, 3
	r := newRig(t, 1)
	l := &fakeLake{t: t}
	for n := range events {
		for revision := range int32(revisions) {
			p := fixing(fmt.Sprintf("EUR-%04d", n), 0, fmt.Sprint(revision+1))
			p.Revision = revision
			l.rows = append(l.rows, lakeRow{int64(revision)*events + int64(n), *p})
		}
	}
	rand.Shuffle(len(l.rows), func(i, j int) { l.rows[i], l.rows[j] = l.rows[j], l.rows[i] })
	r.log.partitions[0] = fakePartition{first: events * revisions, end: events * revisions}
	r.lake, r.dir = l, "/state"
	now := time.Time{}
	logged := new(bytes.Buffer)
	r.logged = logged
	r.start()
	defer r.stop()
	r.d.config.Now = func() time.Time { now = now.Add(tellEvery); return now }
	s := r.open(0)
	defer mustClose(t, s)
	var again []*schemas.Price
	for n := range events {
		again = append(again, fixing(fmt.Sprintf("EUR-%04d", n), 0, fmt.Sprint(revisions)))
	}
	if got := r.run(s, input(t, 0, again...), true); len(got) > 0 {
		t.Errorf("%d of %d repeats of the last revision were published", len(got), events)
	}
	if !strings.Contains(logged.String(), "rows=4096") {
		t.Errorf("nothing was told while it was restored:\n%s", logged)
	}
}
