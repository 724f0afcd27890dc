package dedupe

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// history is a source's whole past as one answer gives it, the newest first.
// The value of a day is restated when day is the restated one.
func history(days, restated int) []*schemas.Price {
	var ps []*schemas.Price
	for n := days - 1; n >= 0; n-- {
		for c := range 8 {
			value := fmt.Sprintf("%d.%02d", c+1, n)
			if n == restated && c == 3 {
				value += "5"
			}
			ps = append(ps, fixing(fmt.Sprintf("EUR-C%02d", c), n, value))
		}
	}
	return ps
}

// A history polled every day, longer than the topic remembers, by processes
// that come and go: each value passes once, and a restated one once more.
func TestHistoryOutlivesRetention(t *testing.T) {
	const days, polls = 64, 20
	r := newRig(t, 1)
	r.start()
	defer r.stop()
	s := r.open(0)
	var published []stream.Record
	for poll := range polls {
		restated := -1
		if poll >= polls/2 {
			restated = 17 // in every poll from then on
		}
		published = append(published, r.run(s, input(t, 0, history(days+poll, restated)...), true)...)
		if poll%3 != 2 {
			continue
		}
		_, end, err := r.log.Bounds(t.Context(), stream.TopicPartition{})
		if err != nil {
			t.Fatal(err)
		}
		r.log.retain(0, end) // retention has removed everything, the marker too
		mustClose(t, s)
		r.start()
		s = r.open(0)
		if gap := r.metric("pricelake_dedupe_state_gap_total"); gap != 0 {
			t.Fatalf("poll %d: a gap of %v offsets although the state has seen them all", poll, gap)
		}
	}
	mustClose(t, s)

	events := map[schemas.ID][]string{}
	for _, p := range r.prices(published) {
		events[p.EventID] = append(events[p.EventID], fmt.Sprintf("r%d %s", p.Revision, p.Price.Decimal))
	}
	if want := 8 * (days + polls - 1); len(events) != want {
		t.Errorf("%d events, want %d", len(events), want)
	}
	twice := fixing("EUR-C03", 17, "1").EventID
	for id, said := range events {
		want := said[:1]
		if id == twice {
			want = []string{"r0 4.17", "r1 4.175"}
		}
		if !slices.Equal(said, want) {
			t.Errorf("event %s was published as %q, want %q", id, said, want)
		}
	}
}
