package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// gatherSink is a testSink that gathers: a record of its takes columns bytes. It
// takes none from offset odd on, which is 0 for none, until that was written.
type gatherSink struct {
	testSink
	columns int
	fixed   int // bytes, however few records were taken
	odd     int64
	doubt   bool // it takes nothing at all

	got []stream.Record
}

func (s *gatherSink) Gather(_ context.Context, b stream.Batch) (taken, bytes int) {
	for _, r := range b.Records {
		if s.doubt || s.odd > 0 && r.Offset == s.odd {
			break
		}
		s.got = append(s.got, r.Clone())
		taken++
	}
	return taken, s.fixed + s.columns*len(s.got)
}

func (s *gatherSink) WriteGathered(ctx context.Context, intend stream.Intend) error {
	if len(s.got) == 0 {
		return errors.New("nothing was gathered")
	}
	err := s.Write(ctx, stream.Batch{Records: s.got}, intend)
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writes[len(s.writes)-1] += " gathered"
		s.got = nil
	}
	return err
}

// gatherWorker is a worker whose sink gathers from three records on.
func gatherWorker(s *gatherSink, flush Flush, interval time.Duration) *rangeWorker {
	flush.Gather = 3
	w := testWorker(&s.testSink, flush, interval)
	w.open = func(context.Context, stream.Claim) (stream.RangeSink, error) { return s, nil }
	return w
}

// What waits is handed to the sink as it comes, and is written as it would have been.
func TestGatheredRanges(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type arrival struct {
		at    time.Duration
		first int64
		n     int
	}
	f := func(what string, sink *gatherSink, end int64, arrivals []arrival, want []string, wantCommits []int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := gatherWorker(sink, Flush{Rows: 100, Linger: ms(30)}, time.Second)
			w.queue.ends(end)
			done := make(chan struct{})
			go func() {
				defer close(done)
				w.run(w.ctx)
			}()
			for _, a := range arrivals {
				time.Sleep(a.at - time.Since(sink.began))
				w.queue.push(records(a.first, a.n), stream.TopicID{})
			}
			time.Sleep(time.Minute)
			close(w.stopping)
			<-done
			writes, commits := sink.seen()
			if !slices.Equal(writes, want) {
				t.Errorf("%s: wrote %v, want %v", what, writes, want)
			}
			if !slices.Equal(commits, wantCommits) {
				t.Errorf("%s: committed %v, want %v", what, commits, wantCommits)
			}
			if held := w.queue.working; held != 0 {
				t.Errorf("%s: %d bytes count as held", what, held)
			}
		})
	}
	f("few records are not gathered", new(gatherSink), 0,
		[]arrival{{0, 0, 2}}, []string{"30ms:0-1"}, []int64{2})
	f("old enough", new(gatherSink), 0,
		[]arrival{{0, 0, 5}, {ms(10), 5, 1}}, []string{"30ms:0-5 gathered"}, []int64{6})
	f("full", new(gatherSink), 0,
		[]arrival{{0, 0, 250}}, []string{"0s:0-99 gathered", "0s:100-199 gathered", "100ms:200-249 gathered"}, []int64{100, 200, 250})
	f("a backlog that goes on waits", new(gatherSink), 500,
		[]arrival{{0, 0, 50}, {ms(1000), 50, 60}}, []string{"1s:0-99 gathered", "4s:100-109 gathered"}, []int64{100, 110})
	f("a record that is not taken begins another range", &gatherSink{odd: 60}, 0,
		[]arrival{{0, 0, 50}, {ms(10), 50, 20}, {ms(2000), 70, 30}}, []string{"10ms:0-59 gathered", "1.01s:60-69", "2.03s:70-99"}, []int64{60, 70, 100})
	f("nothing is taken", &gatherSink{doubt: true}, 0,
		[]arrival{{0, 0, 120}}, []string{"0s:0-99", "100ms:100-119"}, []int64{100, 120})
}

// A write that fails comes again as it was: what comes meanwhile is another range.
func TestGatheredRangeComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &gatherSink{testSink: testSink{fails: 3}}
		w := gatherWorker(sink, Flush{Linger: 30 * time.Millisecond}, time.Second)
		stop := w.inBackground()
		w.queue.push(records(0, 50), stream.TopicID{})
		time.Sleep(31 * time.Millisecond)
		w.queue.push(records(50, 50), stream.TopicID{})
		time.Sleep(time.Minute)
		stop()
		writes, commits := sink.seen()
		for i, write := range writes {
			_, writes[i], _ = strings.Cut(write, ":")
		}
		if !slices.Equal(writes, []string{"0-49 gathered", "50-99 gathered"}) || !slices.Equal(commits, []int64{50, 100}) {
			t.Errorf("wrote %v, committed %v", writes, commits)
		}
	})
}

// What was gathered and not written is left to the next owner.
func TestGatheredRangeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := new(gatherSink)
		w := gatherWorker(sink, Flush{Linger: time.Hour}, time.Hour)
		stop := w.inBackground()
		w.queue.push(records(0, 50), stream.TopicID{})
		w.queue.push(marker(50), stream.TopicID{})
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(sink.got); n != 50 {
			t.Errorf("%d records were gathered, want 50", n)
		}
		stop()
		if writes, commits := sink.seen(); len(writes) > 0 || len(commits) > 0 {
			t.Errorf("wrote %v, committed %v, want nothing", writes, commits)
		}
	})
}

// What a sink has gathered counts as held until it is written, and fetching stops
// and goes on by it.
func TestGatheredBytesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &gatherSink{columns: 100}
		w := gatherWorker(sink, Flush{Rows: 1 << 20, Bytes: 1 << 30, Linger: time.Hour}, time.Hour)
		w.member.budget.limit = 1 << 20
		var paused, resumed int
		w.queue.pause, w.queue.resume = func() { paused++ }, func() { resumed++ }
		stop := w.inBackground()
		const each = 1000
		next := int64(0)
		push := func() {
			w.queue.push(records(next, each), stream.TopicID{})
			next += each
			synctest.Wait()
		}
		push()
		if held := w.member.budget.total(); held != each*100 {
			t.Errorf("%d bytes count as held, want %d", held, each*100)
		}
		for range 12 {
			push()
		}
		writes, _ := sink.seen()
		if len(writes) == 0 || paused == 0 || resumed < paused {
			t.Errorf("wrote %v, paused %d times, resumed %d times; want a range cut for want of memory, and fetching after that", writes, paused, resumed)
		}
		if held := w.member.budget.total(); held > 1<<20 {
			t.Errorf("%d bytes are held", held)
		}
		stop()
	})
}

// runForAMinute works until everything that waits is written. It is for a bubble of
// synctest.
func runForAMinute(w *rangeWorker) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(w.ctx)
	}()
	time.Sleep(time.Minute)
	close(w.stopping)
	<-done
}

// A sink whose columns take more than their records is not given more of them than
// the partition's share has room for.
func TestGatheringEndsAtTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const columns = 10_000
		sink := &gatherSink{columns: columns}
		w := gatherWorker(sink, Flush{Linger: 30 * time.Millisecond}, time.Second)
		w.queue.maxBytes = func() int { return 1 << 20 }
		held := 0
		w.queue.held = func(bytes int) { held = max(held, bytes) }
		w.queue.push(records(0, 2_000), stream.TopicID{})
		most := max(w.queue.pending().bytes, 1<<20)*5/4 + pageRecords*columns
		runForAMinute(w)
		writes, commits := sink.seen()
		if held > most {
			t.Errorf("%d bytes were held at once, want at most %d", held, most)
		}
		if len(writes) < 2_000/pageRecords || commits[len(commits)-1] != 2_000 {
			t.Errorf("%d ranges, %v; committed %v", len(writes), writes, commits)
		}
	})
}

// However little memory there is, and however much of it few rows take, a backlog is
// not cut into ranges of a few records.
func TestGatheredRangesAreNotTiny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &gatherSink{columns: 300, fixed: 1 << 20}
		w := gatherWorker(sink, Flush{Linger: 30 * time.Millisecond}, time.Second)
		w.flush.Gather = defaultGather
		w.queue.maxBytes = func() int { return 64 << 10 }
		w.queue.push(records(0, 10_000), stream.TopicID{})
		runForAMinute(w)
		writes, commits := sink.seen()
		if len(writes) > 10_000/defaultGather+1 || commits[len(commits)-1] != 10_000 {
			t.Errorf("%d ranges, want at most %d: %v", len(writes), 10_000/defaultGather+1, writes)
		}
	})
}
