package kafka

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

func privateMetrics() *metrics {
	m, err := newMetrics(nil)
	if err != nil {
		panic(err) // nothing to register with
	}
	return m
}

// testMember owns partitions of one topic, without a broker.
func testMember(partitions int, limit int) *member {
	m := &member{
		membership: membership{group: "g", metrics: privateMetrics(), log: slog.New(slog.DiscardHandler), budget: newBudget(limit)},
		end:        func(error) {}, owned: make(map[stream.TopicPartition]*assignment),
	}
	for p := range int32(partitions) {
		tp := stream.TopicPartition{Topic: "t", Partition: p}
		a := newAssignment(m, tp, start{})
		a.queue.pause, a.queue.resume = func() {}, func() {}
		m.owned[tp] = a
	}
	return m
}

// sizes is a sink that notes how many records each write has, and how much the
// process holds meanwhile.
type sizes struct {
	budget *budget
	took   time.Duration
	writes []int
	times  []time.Time
	most   int
}

func (s *sizes) Write(_ context.Context, b stream.Batch, _ stream.Intend) error {
	time.Sleep(s.took)
	s.writes = append(s.writes, len(b.Records))
	s.times = append(s.times, time.Now())
	s.most = max(s.most, s.budget.total())
	return nil
}

func (s *sizes) Close() error { return nil }

// worker starts the worker of a partition; it ends with the member.
func (s *sizes) worker(m *member, partition int32, flush Flush, perSecond float64) *rangeWorker {
	a := m.owned[stream.TopicPartition{Topic: "t", Partition: partition}]
	w := &rangeWorker{
		assignment: a, flush: flush.withDefaults(),
		open: func(context.Context, stream.Claim) (stream.RangeSink, error) { return s, nil },
		interval: func() time.Duration {
			return max(flush.Interval, seconds(float64(m.active("t", perSecond))/perSecond))
		},
		commit: func(context.Context, int64, string) error { return nil },
	}
	m.workers.Go(func() {
		defer close(a.done)
		w.run(a.ctx)
	})
	return w
}

// feedBacklog feeds a partition as polls would, n records of about 400 bytes each in
// all, and returns the most the process held.
func feedBacklog(m *member, queues []*queue, n int) int {
	const poll = 1000
	most := 0
	for next := int64(0); next < int64(n); {
		stalled := true
		for _, q := range queues {
			if q.pending().full || q.pending().next > next {
				continue
			}
			stalled = false
			rs := records(q.pending().next, poll)
			for _, r := range rs {
				r.Value = filler
			}
			q.push(rs, stream.TopicID{})
			most = max(most, m.budget.total())
		}
		least := int64(n)
		for _, q := range queues {
			least = min(least, q.pending().next)
		}
		next = least
		if stalled {
			time.Sleep(time.Millisecond)
		}
	}
	return most
}

var filler = []byte(strings.Repeat("v", 240)) // 400 bytes with the overhead of a record

func TestBacklogBesideIdlePartitions(t *testing.T) {
	f := func(partitions int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			const limit, rows = 64 << 20, 40_000
			m := testMember(partitions, limit)
			s := &sizes{budget: m.budget, took: 50 * time.Millisecond}
			w := s.worker(m, 0, Flush{Rows: rows, Interval: time.Second}, 4)
			// A partition with a trickle is not one with a backlog.
			if partitions > 1 {
				m.owned[stream.TopicPartition{Topic: "t", Partition: 1}].queue.push(records(0, 1), stream.TopicID{})
			}
			most := feedBacklog(m, []*queue{w.queue}, 400_000)
			time.Sleep(time.Minute)
			m.endAll(time.Second, false)
			m.workers.Wait()
			total := 0
			for i, n := range s.writes {
				if total += n; n < rows && i < len(s.writes)-2 && i > 0 {
					t.Errorf("%d partitions: write %d has %d records, want %d: %v", partitions, i, n, rows, s.writes)
				}
			}
			if total != 400_000 {
				t.Errorf("%d partitions: wrote %d records, want 400,000", partitions, total)
			}
			if most = max(most, s.most); most > limit+1000*401 || most < limit/4 {
				t.Errorf("%d partitions: held up to %d bytes, want some, but no more than %d and a poll", partitions, most, limit)
			}
		})
	}
	f(1)
	f(15)
	f(84)
}

// TestBacklogEverywhere: when all partitions have a backlog the bound holds, and
// each has a fair part.
func TestBacklogEverywhere(t *testing.T) {
	f := func(partitions, limit int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := testMember(partitions, limit)
			var queues []*queue
			var all []*sizes
			for p := range int32(partitions) {
				s := &sizes{budget: m.budget, took: 50 * time.Millisecond}
				queues = append(queues, s.worker(m, p, Flush{Interval: time.Second}, 4).queue)
				all = append(all, s)
			}
			most := feedBacklog(m, queues, 30_000)
			time.Sleep(time.Minute)
			m.endAll(time.Second, false)
			m.workers.Wait()
			for p, s := range all {
				total := 0
				for _, n := range s.writes {
					total += n
				}
				if total != 30_000 {
					t.Errorf("partition %d of %d: wrote %d records, want 30,000", p, partitions, total)
				}
				// 401 bytes a record; half of an equal part at least, on average.
				if least := min(30_000, limit/partitions/401/2); total/len(s.writes) < least {
					t.Errorf("partition %d of %d: %d writes of %d records on average, want at least %d", p, partitions, len(s.writes), total/len(s.writes), least)
				}
			}
			if poll := 1000 * 401; most > limit+partitions*poll {
				t.Errorf("%d partitions hold up to %d bytes, want no more than %d and a poll each", partitions, most, limit)
			}
		})
	}
	f(12, 64<<20)
	f(40, 64<<20)
	f(3, 8<<20)
}

func TestBudgetShares(t *testing.T) {
	f := func(what string, held []int, want int) {
		t.Helper()
		m := testMember(len(held), 64)
		for p, bytes := range held {
			m.budget.hold(m.owned[stream.TopicPartition{Topic: "t", Partition: int32(p)}], bytes)
		}
		if got := m.budget.share(); got != want {
			t.Errorf("%s: a partition may hold %d of 64, want %d", what, got, want)
		}
	}
	f("nobody holds anything", []int{0, 0, 0, 0}, 4+4*48)
	f("small holdings are within the reserve", []int{4, 3, 4, 1}, 4+4*48)
	f("one borrows", []int{5, 0, 0, 0}, 4+4*47)
	f("one is where it must stop", []int{43, 0, 0, 0}, 4+4*9)
	f("three are", []int{19, 19, 19, 0}, 4+4*3)
	f("all of it is taken", []int{40, 26, 0, 0}, 4)
}

// TestATrickleKeepsItsPace: a partition that stands still with more memory than all
// may have does not make the others write each record at once.
func TestATrickleKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 64 << 20
		m := testMember(2, limit)
		s := &sizes{budget: m.budget}
		w := s.worker(m, 0, Flush{Interval: 500 * time.Millisecond, Linger: 30 * time.Millisecond}, 4)
		m.budget.hold(m.owned[stream.TopicPartition{Topic: "t", Partition: 1}], limit+16<<20)
		for n := range int64(60 * 50) {
			w.queue.push(records(n, 1), stream.TopicID{})
			time.Sleep(20 * time.Millisecond)
		}
		m.endAll(time.Second, false)
		m.workers.Wait()
		if len(s.times) > 60*2+2 || len(s.times) < 60 {
			t.Errorf("%d writes in a minute, want about one each half second", len(s.times))
		}
	})
}

// TestWritesPerSecond: whatever arrives where, the writes that are not full keep
// the rate, over the time in which every partition has its turn.
func TestWritesPerSecond(t *testing.T) {
	f := func(partitions, busy int, every time.Duration, wantGap time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			const perSecond = 4
			m := testMember(partitions, 64<<20)
			s := &sizes{budget: m.budget}
			var workers []*rangeWorker
			for p := range int32(partitions) {
				workers = append(workers, s.worker(m, p, Flush{Interval: 500 * time.Millisecond, Linger: 30 * time.Millisecond}, perSecond))
			}
			began := time.Now()
			next := make([]int64, busy)
			for time.Since(began) < time.Minute {
				for p := range busy {
					workers[p].queue.push(records(next[p], 1), stream.TopicID{})
					next[p]++
					time.Sleep(rand.N(2*every/time.Duration(busy) + 1))
				}
			}
			m.endAll(time.Second, false)
			m.workers.Wait()
			// The first turn is not held up: the partitions were quiet.
			if limit := 60*perSecond + 2*partitions; len(s.times) > limit {
				t.Errorf("%d of %d partitions busy: %d writes in a minute, want at most %d", busy, partitions, len(s.times), limit)
			}
			if got := time.Minute / time.Duration(len(s.times)/busy); got > wantGap {
				t.Errorf("%d of %d partitions busy: %v between the writes of one, want at most %v", busy, partitions, got, wantGap)
			}
		})
	}
	ms := time.Millisecond
	f(12, 1, 20*ms, 600*ms) // the idle ones do not count
	f(12, 2, 20*ms, 600*ms)
	f(3, 3, 20*ms, 850*ms)
	f(12, 12, 20*ms, 3300*ms)
	f(12, 12, 2*time.Second, 3300*ms) // more than the rate, though each is quiet for long
}
