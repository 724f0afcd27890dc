package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/proc"
)

// watcher looks at the run from outside while it lasts: which answers are
// recorded, whether committed offsets go back (O5), what the roles hold (O7).
type watcher struct {
	kafka    *count.Kafka
	registry *count.Registry
	feed     *market.Feed
	roles    *roles

	mu       sync.Mutex
	offsets  map[count.Place]int64
	samples  int
	backward count.Findings
	peak     map[string]proc.Usage // by process
}

func newWatcher(k *count.Kafka, r *count.Registry, feed *market.Feed, roles *roles) *watcher {
	return &watcher{kafka: k, registry: r, feed: feed, roles: roles, offsets: map[count.Place]int64{}, peak: map[string]proc.Usage{}}
}

// run watches until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { w.follow(ctx) })
	wg.Go(func() { every(ctx, time.Second, w.sampleOffsets) })
	wg.Go(func() { every(ctx, time.Second, func(context.Context) { w.sampleUsage() }) })
	wg.Wait()
}

func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// follow tells the feed which answers are durable.
func (w *watcher) follow(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.kafka.Follow(ctx, count.TopicResponses, func(rec *kgo.Record) {
			f, err := w.registry.Decode(ctx, rec.Value)
			if err != nil {
				return // the registry may be down; the answer is said again
			}
			if call, number, ok := market.Identify(f.Bytes("body")); ok {
				w.feed.Recorded(call, number)
			}
		})
	}
}

// sampleOffsets notes committed offsets that are below those of before. A broker
// that cannot be asked now is asked the next time.
func (w *watcher) sampleOffsets(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	now, err := w.kafka.Committed(ctx)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples++
	for place, at := range now {
		if before, known := w.offsets[place]; known && at < before {
			w.backward.Addf("%s: committed %d, then %d", place, before, at)
		}
		w.offsets[place] = at
	}
}

func (w *watcher) sampleUsage() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.roles.list {
		u, ok := proc.UsageOf(p.Pid())
		if !ok {
			continue
		}
		most := w.peak[p.Name()]
		w.peak[p.Name()] = proc.Usage{RSS: max(most.RSS, u.RSS), Files: max(most.Files, u.Files)}
	}
}

// maxFiles is how many files and connections a role may have open.
const maxFiles = 1024

// report adds O5 and O7, and ends that nobody caused.
func (w *watcher) report(r *count.Report, o *options, processes map[string]*proc.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Add("O5", "committed offsets never go back", &w.backward, "%d places looked at %d times", len(w.offsets), w.samples)
	var large count.Findings
	most, largest := proc.Usage{}, ""
	for name, u := range w.peak {
		if u.RSS > o.maxRSS<<20 {
			large.Addf("%s held %d MiB", name, u.RSS>>20)
		}
		if u.Files > maxFiles {
			large.Addf("%s had %d files open", name, u.Files)
		}
		if u.RSS > most.RSS {
			largest = name
		}
		most = proc.Usage{RSS: max(most.RSS, u.RSS), Files: max(most.Files, u.Files)}
	}
	r.Add("O7", "roles stay within bounds", &large, "at most %d MiB (%s) and %d files in one role", most.RSS>>20, largest, most.Files)
	var ended count.Findings
	starts := 0
	for _, p := range processes {
		c := p.Counts()
		starts += c.Starts
		for _, text := range c.Unasked {
			ended.Addf("%s", text)
		}
	}
	r.Add("O7", "no process ends by itself", &ended, "%d starts of %d processes", starts, len(processes))
}

// drain waits until everything is worked off; the findings say what is left.
func (w *watcher) drain(ctx context.Context) (took time.Duration, left *count.Findings) {
	begun := time.Now()
	left = &count.Findings{}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for calm := 0; ; {
		behind, err := w.kafka.Behind(ctx)
		if err == nil && len(behind) == 0 {
			if calm++; calm == 2 {
				return time.Since(begun), left
			}
		} else {
			calm = 0
		}
		select {
		case <-ctx.Done():
			w.tell(left, behind, err)
			return time.Since(begun), left
		case <-tick.C:
		}
	}
}

func (w *watcher) tell(left *count.Findings, behind map[count.Place]int64, err error) {
	if err != nil {
		left.Addf("Kafka cannot be asked: %v", err)
	}
	var texts []string
	for place, n := range behind {
		texts = append(texts, fmt.Sprintf("%s: %d offsets left", place, n))
	}
	slices.Sort(texts)
	for _, text := range texts {
		left.Addf("%s", text)
	}
}
