package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// These tests run the workers without a broker, on the clock of a synctest
// bubble: what is due when, to the millisecond.

type testSink struct {
	began      time.Time
	took       time.Duration // of a write
	commitTook time.Duration

	mu      sync.Mutex
	fails   int
	writes  []string // "at:first-last": when, and which offsets
	commits []int64
}

// failing sets how many writes fail from now on.
func (s *testSink) failing(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = n
}

func (s *testSink) commit(ctx context.Context, next int64, _ string) error {
	select {
	case <-time.After(s.commitTook):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits = append(s.commits, next)
	return nil
}

// seen returns the writes and the commits so far.
func (s *testSink) seen() (writes []string, commits []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.writes), slices.Clone(s.commits)
}

func (s *testSink) Write(ctx context.Context, b stream.Batch, _ stream.Intend) error {
	time.Sleep(s.took)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return errors.New("injected")
	}
	at := time.Since(s.began).Round(time.Millisecond)
	s.writes = append(s.writes, at.String()+":"+span(b.Records))
	return ctx.Err()
}

func (s *testSink) Close() error { return nil }

// span names the first and the last offset, and says when others come between
// than those that should.
func span(rs []stream.Record) string {
	s := fmt.Sprintf("%d-%d", rs[0].Offset, rs[len(rs)-1].Offset)
	for i := range rs {
		if i > 0 && rs[i].Offset <= rs[i-1].Offset {
			s += " out of order"
		}
	}
	return s
}

// testWorker is a partition with a worker, and the member it needs around it.
func testWorker(s *testSink, flush Flush, interval time.Duration) *rangeWorker {
	m := testMember(1, 64<<20)
	a := m.owned[stream.TopicPartition{Topic: "t"}]
	s.began = time.Now()
	return &rangeWorker{
		assignment: a, flush: flush.withDefaults(),
		open:     func(context.Context, stream.Claim) (stream.RangeSink, error) { return s, nil },
		interval: func() time.Duration { return interval },
		commit:   s.commit,
	}
}

// inBackground runs the worker until stop, which takes its partition away and waits for
// its end.
func (w *rangeWorker) inBackground() (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(w.ctx)
	}()
	return func() {
		close(w.stopping)
		<-done
	}
}

// records makes n records from offset first on.
func records(first int64, n int) []*kgo.Record {
	var rs []*kgo.Record
	for i := range int64(n) {
		rs = append(rs, &kgo.Record{Topic: "t", Offset: first + i, Value: []byte("v"), Timestamp: time.Now()})
	}
	return rs
}

func marker(offset int64) []*kgo.Record {
	r := &kgo.Record{Topic: "t", Offset: offset}
	r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Control: true})
	return []*kgo.Record{r}
}

func TestRangeWorkerTiming(t *testing.T) {
	type arrival struct {
		at      time.Duration
		records []*kgo.Record
	}
	f := func(what string, flush Flush, interval, took time.Duration, arrivals []arrival, want []string, wantCommits []int64, end ...int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			sink := &testSink{took: took}
			w := testWorker(sink, flush, interval)
			for _, end := range end {
				w.queue.ends(end)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				w.run(w.ctx)
			}()
			for _, a := range arrivals {
				time.Sleep(a.at - time.Since(sink.began))
				w.queue.push(a.records, stream.TopicID{})
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
		})
	}
	flush := Flush{Rows: 100, Linger: 30 * time.Millisecond}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }

	f("the first record waits for Linger only", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 1)}},
		[]string{"30ms:0-0"}, []int64{1})
	f("records within Linger share a write", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 1)}, {ms(20), records(1, 2)}},
		[]string{"30ms:0-2"}, []int64{3})
	f("writes keep the interval apart", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 1)}, {ms(100), records(1, 1)}, {ms(900), records(2, 1)}},
		[]string{"30ms:0-0", "1.03s:1-2"}, []int64{1, 3})
	f("after a quiet interval Linger counts again", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 1)}, {ms(5000), records(1, 1)}},
		[]string{"30ms:0-0", "5.03s:1-1"}, []int64{1, 2})
	f("a full range does not wait", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 250)}},
		[]string{"0s:0-99", "0s:100-199", "100ms:200-249"}, []int64{100, 200, 250})
	f("the end of a backlog waits while more comes", flush, ms(300), 0,
		[]arrival{{ms(0), records(0, 150)}, {ms(80), records(150, 1)}, {ms(160), records(151, 1)}, {ms(240), records(152, 1)}, {ms(310), records(153, 1)}},
		[]string{"0s:0-99", "300ms:100-152", "600ms:153-153"}, []int64{100, 153, 154})
	f("the end of a backlog is once an interval", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 101)}, {ms(200), records(101, 101)}},
		[]string{"0s:0-99", "100ms:100-100", "200ms:101-200", "1.1s:201-201"}, []int64{100, 101, 201, 202})
	f("a backlog that goes on waits", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 101)}, {ms(2000), records(101, 1)}}, []string{"0s:0-99", "3s:100-101"}, []int64{100, 102}, 500)
	f("a backlog is written when it is full", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 50)}, {ms(2000), records(50, 50)}, {ms(2500), records(100, 1)}}, []string{"2s:0-99", "2.6s:100-100"}, []int64{100, 101}, 101)
	f("what arrives during a write is written next", flush, ms(50), ms(200),
		[]arrival{{ms(0), records(0, 1)}, {ms(100), records(1, 1)}},
		[]string{"230ms:0-0", "480ms:1-1"}, []int64{1, 2})
	f("a marker alone is committed, not written", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 1)}, {ms(10), marker(1)}, {ms(500), marker(2)}},
		[]string{"30ms:0-0"}, []int64{2, 3})
	f("a range goes up to the next record, over markers", flush, time.Second, 0,
		[]arrival{{ms(0), slices.Concat(records(0, 100), marker(100), records(101, 1))}},
		[]string{"0s:0-99", "100ms:101-101"}, []int64{101, 102})
	f("records below the position are left out", flush, time.Second, 0,
		[]arrival{{ms(0), records(0, 3)}, {ms(10), records(1, 3)}},
		[]string{"30ms:0-3"}, []int64{4})
}

// A record that comes while the position is about to be committed over markers is
// not committed with them: nothing of it is durable.
func TestIdleCommitStopsBeforeWhatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &testSink{}
		w := testWorker(sink, Flush{Linger: time.Second}, 0)
		came := false
		w.interval = func() time.Duration { // asked once it is known that no record waits
			if p := w.queue.pending(); p.records == 0 && p.next > 0 && !came {
				came = true
				w.queue.push(records(1, 2), stream.TopicID{})
			}
			return 0
		}
		stop := w.inBackground()
		w.queue.push(marker(0), stream.TopicID{})
		time.Sleep(time.Minute)
		stop()
		writes, commits := sink.seen()
		if !slices.Equal(writes, []string{"1s:1-2"}) || !slices.Equal(commits, []int64{1, 3}) {
			t.Errorf("wrote %v and committed %v, want the marker committed at once, and the records once they are written", writes, commits)
		}
	})
}

func TestRangeWorkerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &testSink{fails: 5}
		w := testWorker(sink, Flush{}, time.Second)
		stop := w.inBackground()
		w.queue.push(records(0, 3), stream.TopicID{})
		time.Sleep(50 * time.Millisecond)
		if _, commits := sink.seen(); len(commits) > 0 {
			t.Errorf("committed %v before the write succeeded", commits)
		}
		time.Sleep(time.Minute)
		if writes, commits := sink.seen(); !slices.Equal(commits, []int64{3}) || len(writes) != 1 {
			t.Errorf("committed %v after %v, want 3 after one write", commits, writes)
		}
		// A sink that fails for ever does not hold up the end.
		sink.failing(1 << 30)
		w.queue.push(records(3, 1), stream.TopicID{})
		time.Sleep(time.Minute)
		stopped := time.Now()
		stop()
		if took := time.Since(stopped); took > 0 {
			t.Errorf("took %v to stop between two tries", took)
		}
		if _, commits := sink.seen(); len(commits) != 1 {
			t.Errorf("committed %v without a write", commits)
		}
	})
}

func TestAssignmentEnds(t *testing.T) {
	f := func(what string, grace, work time.Duration, obeys bool, wantTook time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := testWorker(&testSink{}, Flush{}, 0)
			a := w.assignment
			go func() {
				defer close(a.done)
				timer := time.NewTimer(work)
				defer timer.Stop()
				if obeys {
					select {
					case <-timer.C:
					case <-a.ctx.Done():
					}
					return
				}
				<-timer.C
			}()
			began := time.Now()
			a.finish(grace, false)
			if took := time.Since(began); took != wantTook {
				t.Errorf("%s: took %v, want %v", what, took, wantTook)
			}
			// Whatever the worker does now, it commits nothing.
			if err := a.commit(context.Background(), 1, ""); !errors.Is(err, errGone) {
				t.Errorf("%s: a commit after the end: %v, want errGone", what, err)
			}
			time.Sleep(time.Hour)
		})
	}
	f("work in hand is finished", 5*time.Second, time.Second, true, time.Second)
	f("work that takes too long is cut", 5*time.Second, time.Minute, true, 5*time.Second)
	f("a lost partition is cut at once", 0, time.Minute, true, 0)
	f("a worker that does not listen is not waited for", 5*time.Second, time.Minute, false, 5*time.Second+cancelGrace)
}

// TestAssignmentEndsTwice: the group asks a partition back, or says that it is
// lost, while the member is told to stop. Both wait for the worker, and who has
// less patience decides.
func TestAssignmentEndsTwice(t *testing.T) {
	f := func(what string, second, work, wantTook time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			a := testWorker(&testSink{}, Flush{}, 0).assignment
			m := a.member
			go func() {
				defer close(a.done)
				pause(a.ctx, work)
			}()
			began := time.Now()
			var both sync.WaitGroup
			both.Go(func() { m.endAll(5*time.Second, false) })
			time.Sleep(time.Second)
			both.Go(func() {
				m.drop(map[string][]int32{"t": {0}}, second, false)
				select {
				case <-a.done:
				default:
					t.Errorf("%s: given away with its worker still at it", what)
				}
			})
			both.Wait()
			if took := time.Since(began); took != wantTook {
				t.Errorf("%s: took %v, want %v", what, took, wantTook)
			}
			if len(m.owned) > 0 {
				t.Errorf("%s: still owned", what)
			}
		})
	}
	f("asked back", 5*time.Second, 3*time.Second, 3*time.Second)
	f("asked back, too slow", 5*time.Second, time.Minute, 5*time.Second)
	f("lost", 0, time.Minute, time.Second)
}

// TestRangeWorkerCommitsLate: a range that is durable when the worker's time is up
// is still committed, if that takes but a moment.
func TestRangeWorkerCommitsLate(t *testing.T) {
	f := func(what string, commit time.Duration, want []int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			sink := &testSink{took: 4900 * time.Millisecond, commitTook: commit}
			w := testWorker(sink, Flush{}, 0)
			go func() {
				defer close(w.done)
				w.run(w.ctx)
			}()
			w.queue.push(records(0, 3), stream.TopicID{})
			time.Sleep(time.Millisecond)
			w.finish(5*time.Second, false)
			if _, commits := sink.seen(); !slices.Equal(commits, want) {
				t.Errorf("%s: committed %v, want %v", what, commits, want)
			}
		})
	}
	f("in time", 50*time.Millisecond, []int64{3})
	f("a moment late", 400*time.Millisecond, []int64{3})
	f("too late", time.Second, nil)
}

func TestQueueBounds(t *testing.T) {
	paused, resumed := 0, 0
	q := newQueue(10, func() int { return 1 << 20 }, 0)
	q.pause, q.resume = func() { paused++ }, func() { resumed++ }
	q.push(records(0, 9), stream.TopicID{})
	if paused != 0 {
		t.Error("paused below the limit")
	}
	q.push(records(9, 6), stream.TopicID{})
	q.push(records(15, 1), stream.TopicID{})
	if paused != 1 {
		t.Errorf("paused %d times above the limit, want once", paused)
	}
	rs, next := q.take(10, 1<<20)
	if q.release(); len(rs) != 10 || next != 10 || resumed != 0 {
		t.Errorf("took %d up to %d, resumed %d times; want 10 up to 10, not resumed with 6 left of 10", len(rs), next, resumed)
	}
	rs, next = q.take(2, 1<<20)
	if q.release(); len(rs) != 2 || next != 12 || resumed != 1 {
		t.Errorf("took %d up to %d, resumed %d times; want 2 up to 12 and one", len(rs), next, resumed)
	}
	if rs, _ := q.take(10, 0); len(rs) != 1 {
		t.Errorf("took %d records of more than 0 bytes, want the one that is always taken", len(rs))
	}
	bytes := newQueue(0, func() int { return 3 * (stream.RecordOverhead + 1) }, 0)
	full := 0
	bytes.pause = func() { full++ }
	bytes.push(records(0, 2), stream.TopicID{})
	bytes.push(records(2, 1), stream.TopicID{})
	if full != 1 {
		t.Errorf("paused %d times at the limit in bytes, want once", full)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	for fails := range 100 {
		d := backoff(fails, 100*time.Millisecond, 10*time.Second)
		if d < 50*time.Millisecond || d > 10*time.Second {
			t.Errorf("pause %d is %v, want within 50ms and 10s", fails, d)
		}
	}
}
