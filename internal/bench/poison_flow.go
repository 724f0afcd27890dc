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

const (
	// flowTick is how often records are published at a rate.
	flowTick = 50 * time.Millisecond
	// flowLook is how often what is worked off is looked at, and what a latency may
	// be too long by.
	flowLook = 20 * time.Millisecond
)

// mark says that there were n records at a time.
type mark struct {
	n  int64
	at time.Time
}

// flow is records that come at a rate, by their number. It may be used in parallel.
type flow struct {
	mu         sync.Mutex
	sent, seen []mark // when so many were about to be published, and were worked off
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
	if len(f.seen) > 0 && n <= f.seen[len(f.seen)-1].n {
		return false
	}
	f.seen = append(f.seen, mark{n, time.Now()})
	return true
}

// flowed is what became of the records of a flow that came after the warm-up.
type flowed struct {
	// records is how many good ones were worked off in the time took: from the middle
	// of their first quarter to that of the last, each the mean of when its records
	// were. What is worked off in large steps has no other pace than that.
	records  int64
	took     time.Duration
	p50, p99 time.Duration // from before a record was published until it was worked off
}

// result is that of all records up to the last, of which so many are good. Which of
// them are worked off is known by their number: partitions that are not equally far
// make latencies of a few a little longer and of as many a little shorter.
func (f *flow) result(last, good int64) (flowed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sent) == 0 || len(f.seen) == 0 {
		return flowed{}, errors.New("nothing was published, or nothing was worked off")
	}
	warm := sort.Search(len(f.sent), func(i int) bool { return f.sent[i].at.Sub(f.sent[0].at) >= warmUp })
	if warm == len(f.sent) {
		return flowed{}, fmt.Errorf("the records last for less than the %v that do not count", warmUp)
	}
	n := int64(0)
	if warm > 0 {
		n = f.sent[warm-1].n
	}
	if end := f.seen[len(f.seen)-1].n; end < last {
		return flowed{}, fmt.Errorf("%d records of %d were seen to be worked off", end, last)
	}
	var each []time.Duration
	var ended []time.Duration // since the begin
	seen := 0
	for _, s := range f.sent[warm:] {
		for ; n < s.n; n++ {
			for f.seen[seen].n <= n {
				seen++
			}
			each = append(each, f.seen[seen].at.Sub(s.at))
			ended = append(ended, f.seen[seen].at.Sub(f.sent[0].at))
		}
	}
	quarter := len(ended) / 4
	if quarter == 0 {
		return flowed{}, fmt.Errorf("%d records are too few to have a pace", len(ended))
	}
	of := flowed{records: int64(len(ended)-quarter) * good / last, took: mean(ended[len(ended)-quarter:]) - mean(ended[:quarter])}
	slices.Sort(each)
	of.p50, of.p99 = percentile(each, 500), percentile(each, 990)
	return of, nil
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
		if p.began.IsZero() {
			p.began = time.Now()
		}
		due := min(p.Rows, int64(time.Since(p.began).Seconds()*float64(p.Rate)))
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
			if err := errors.Join(role.alive(), sleep(ctx, flowLook)); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}
