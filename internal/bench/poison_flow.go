package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// flowTick is how often records are published at a rate.
const flowTick = 50 * time.Millisecond

// leastOffered is which part of the rate has to be published for a run to count.
const leastOffered = 0.98

// mark says that there were n records at a time.
type mark struct {
	n  int64
	at time.Time
}

// flow is records that come at a rate, by their number. It may be used in parallel.
type flow struct {
	mu         sync.Mutex
	began      time.Time
	sent, seen []mark // when so many were about to be published, and were worked off
}

// elapsed is since the first call, when the first record is due.
func (f *flow) elapsed() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		f.began = time.Now()
	}
	return time.Since(f.began)
}

func (f *flow) sends(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, mark{n, time.Now()})
}

// sees notes how many are worked off, and says whether that are more than before.
func (f *flow) sees(n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n <= f.done() {
		return false
	}
	f.seen = append(f.seen, mark{n, time.Now()})
	return true
}

func (f *flow) done() int64 {
	if len(f.seen) == 0 {
		return 0
	}
	return f.seen[len(f.seen)-1].n
}

// flowed is what became of the records of a flow that came after the warm-up.
type flowed struct {
	offered float64 // good ones that were published a second
	// records is how many good ones were worked off in the time took: from the middle
	// of their first quarter to that of the last, each the mean of when its records
	// were. What is worked off in large steps has no other pace than that.
	records  int64
	took     time.Duration
	p50, p99 time.Duration // from when a record was due until it was worked off
}

func (f flowed) perSecond() float64 { return float64(f.records) / f.took.Seconds() }

// result is that of all records up to the last, of which so many are good and came at
// the rate. Latencies count from when a record was due, whenever it was published:
// else a publisher that is held up would hide for how long. Which of them are worked
// off is known by their number: partitions that are not equally far make latencies of
// a few a little longer and of as many a little shorter.
func (f *flow) result(last, good, rate int64) (*flowed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if done := f.done(); done < last {
		return nil, fmt.Errorf("%d records of %d were seen to be worked off", done, last)
	}
	part := float64(good) / float64(last)
	each := time.Duration(float64(time.Second) / float64(rate) * part) // record after the one before
	first := int64(f.seen[0].at.Add(warmUp).Sub(f.began) / each)
	if first >= last {
		return nil, fmt.Errorf("the records last for less than the %v after the first of them that do not count", warmUp)
	}
	of := &flowed{offered: f.offered(first) * part}
	if of.offered < leastOffered*float64(rate) {
		return nil, fmt.Errorf("%.0f good records a second could be published, not %d: give a lower rate", of.offered, rate)
	}
	var ended, latencies []time.Duration // ended: since the begin
	for n, seen := first, 0; n < last; n++ {
		for f.seen[seen].n <= n {
			seen++
		}
		end := f.seen[seen].at.Sub(f.began)
		ended, latencies = append(ended, end), append(latencies, end-time.Duration(n+1)*each)
	}
	quarter := len(ended) / 4
	if quarter == 0 {
		return nil, fmt.Errorf("%d records are too few to have a pace", len(ended))
	}
	of.records = int64(float64(len(ended)-quarter) * part)
	of.took = mean(ended[len(ended)-quarter:]) - mean(ended[:quarter])
	slices.Sort(latencies)
	of.p50, of.p99 = percentile(latencies, 500), percentile(latencies, 990)
	return of, nil
}

// offered is how many records a second were published from the one of a number on. The
// last burst does not count, which may be a part of one.
func (f *flow) offered(first int64) float64 {
	from, to := sort.Search(len(f.sent), func(i int) bool { return f.sent[i].n > first }), len(f.sent)-2
	if to <= from {
		return 0
	}
	return float64(f.sent[to].n-f.sent[from].n) / f.sent[to].at.Sub(f.sent[from].at).Seconds()
}

func mean(values []time.Duration) time.Duration {
	var sum float64
	for _, v := range values {
		sum += v.Seconds()
	}
	return time.Duration(sum / float64(len(values)) * float64(time.Second))
}

// turn returns how many good records are to be published next, after so many: what
// has come at the rate since, or, without one, most of them.
func (p *poisonRun) turn(ctx context.Context, good, most int64) (int64, error) {
	if p.Rate == 0 {
		return min(most, p.Rows-good), nil
	}
	for {
		if err := sleep(ctx, flowTick); err != nil {
			return 0, err
		}
		due := min(p.Rows, int64(p.flow.elapsed().Seconds()*float64(p.Rate)))
		if due > good {
			return due - good, nil
		}
	}
}

// sends notes that records up to the good one of a number are published now.
func (p *poisonRun) sends(good int64) {
	if p.role != lakeRole {
		good += p.made // whose groups commit the others too
	}
	p.flow.sends(good)
}

// flows has records come at the rate while the role runs, until all are worked off.
func (p *poisonRun) flows(ctx context.Context, t task, role *Process) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.fill(ctx) })
	g.Go(func() error {
		moved := time.Now()
		for {
			n, err := t.seen(ctx)
			if err != nil {
				return err
			}
			if p.flow.sees(n) {
				moved = time.Now()
			}
			switch all := t.all(); {
			case n > all:
				return fmt.Errorf("%d records are worked off of the %d that there are", n, all)
			case n == all:
				return nil
			case time.Since(moved) > time.Minute:
				return fmt.Errorf("%d records of %d are worked off, and no more for a minute", n, all)
			}
			if err := errors.Join(role.alive(), sleep(ctx, t.look)); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}
