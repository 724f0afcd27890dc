package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
)

// TestWaiting takes records out of a queue in every way, some of them put back, and
// holds what comes against a plain list.
func TestWaiting(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		q := newQueue(0, func() int { return 1 << 30 }, 0)
		pushed, next := 0, 0
		expect := func(rs []stream.Record) {
			t.Helper()
			for i := range rs {
				if rs[i].Offset != int64(next) || len(rs[i].Value) == 0 {
					t.Fatalf("seed %d: got %+v, want offset %d", seed, rs[i], next)
				}
				next++
			}
		}
		for range 50 {
			switch n := 1 + rng.IntN(3*pageRecords/2); rng.IntN(3) {
			case 0:
				q.push(records(int64(pushed), n), stream.TopicID{})
				pushed += n
			case 1:
				rs, at := q.take(n, 1<<30)
				if want := min(n, pushed-next); len(rs) != want {
					t.Fatalf("seed %d: %d records, want %d", seed, len(rs), want)
				}
				if expect(rs); at != int64(next) {
					t.Fatalf("seed %d: the position is %d, want %d", seed, at, next)
				}
				q.recycle(rs)
			case 2:
				if p, _ := q.takePage(n); p != nil {
					some := rng.IntN(len(p.records()) + 1)
					expect(p.records()[:some])
					if p.skip(some); len(p.records()) > 0 {
						q.giveBack(p, q.since)
					} else {
						q.recyclePage(p)
					}
				}
			}
			q.working = 0
			held := 0
			for _, p := range q.records.pages {
				for i := range p.records() {
					held += p.records()[i].Size()
				}
			}
			if p := q.pending(); p.records != pushed-next || p.first != int64(next) || p.bytes != held {
				t.Fatalf("seed %d: %+v waits, want %d records of %d bytes from %d on", seed, p, pushed-next, held, next)
			}
		}
	}
}

// TestWaitingLetsGo: memory for records that are gone holds none of their bytes.
func TestWaitingLetsGo(t *testing.T) {
	q := newQueue(0, func() int { return 1 << 30 }, 0)
	q.push(records(0, 10), stream.TopicID{})
	first := q.records.pages[0]
	rs, _ := q.take(7, 1<<30)
	q.recycle(rs)
	p, _ := q.takePage(10)
	q.recyclePage(p)
	for _, room := range [][]stream.Record{first.room[:], rs} {
		for i := range room {
			if room[i].Value != nil || room[i].Offset != 0 {
				t.Errorf("record %d is still there: %+v", i, room[i])
			}
		}
	}
}
