package kafka

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// TestPace: after a rest as many turns come at once as there are in a second, then one
// after the other, so that over twenty seconds there are no more than so many a second,
// and time that nobody used is not saved up.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, p := time.Now(), newPace(4)
		var turns []time.Duration
		for range 7 {
			turns = append(turns, p.turn().Sub(began))
		}
		const quarter = time.Second * 100 / 380
		for i, want := range []time.Duration{0, 0, 0, 0, quarter, 2 * quarter, 3 * quarter} {
			if (turns[i] - want).Abs() > time.Microsecond {
				t.Errorf("turn %d after %v, want %v", i, turns[i], want)
			}
		}
		in := 7
		for p.turn().Sub(began) < 20*time.Second {
			in++
		}
		if in > 4*20 {
			t.Errorf("%d turns in 20 s", in)
		}
		time.Sleep(time.Hour)
		began = time.Now()
		for range 4 {
			p.turn()
		}
		if wait := p.turn().Sub(began); (wait - quarter).Abs() > time.Microsecond {
			t.Errorf("the fifth turn after an hour comes after %v", wait)
		}
	})
}

// TestRangesThatAreNotFullTakeTurns: partitions that all begin at once are written one
// after the other, a full range is not held up by that, and a turn that was taken is
// for the range that follows.
func TestRangesThatAreNotFullTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1)
		p.turn() // another partition's
		sink := &testSink{}
		w := testWorker(sink, Flush{Rows: 100, Linger: 30 * time.Millisecond}, 100*time.Millisecond)
		w.pace = p.turn
		stop := w.inBackground()
		w.queue.push(records(0, 1), stream.TopicID{})
		time.Sleep(500 * time.Millisecond)
		w.queue.push(records(1, 100), stream.TopicID{}) // full: 0-99 go at once, 100 has the turn
		time.Sleep(2 * time.Second)
		w.queue.push(records(101, 1), stream.TopicID{})
		time.Sleep(time.Minute)
		stop()
		writes, _ := sink.seen()
		if want := []string{"500ms:0-99", "1.053s:100-100", "2.53s:101-101"}; !slices.Equal(writes, want) {
			t.Errorf("wrote %v, want %v", writes, want)
		}
	})
}
