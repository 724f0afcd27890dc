package e2e

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
)

// inputs is the topic each role is about: its partitions are what an owner owns.
var inputs = map[string]string{
	"scheduler": schemas.TopicCalls, "poller": schemas.TopicRequests, "normalizer": schemas.TopicResponses,
	"deduplicator": schemas.TopicObserved, "lake": schemas.TopicPrices,
}

// path is the roles in their order.
var path = []string{"scheduler", "poller", "normalizer", "deduplicator", "lake"}

// place is where progress is seen: one partition of a role.
type place struct {
	role      string
	partition int
}

// watcher looks from outside at how far every role is: committed offsets of the
// groups, and for the scheduler, which commits nothing, the end of its log.
type watcher struct {
	admin *kadm.Client

	mu    sync.Mutex
	at    map[place]int64
	moves map[place][]time.Time
}

// watchEvery is how often it looks, and what a pause may be too long or too short by:
// each look is some requests to a broker that has half a core.
const watchEvery = 100 * time.Millisecond

func startWatch(t *testing.T, f *fleet) *watcher {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.real.seeds...), kgo.RetryTimeout(2*time.Second), kgo.DialTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{admin: kadm.NewClient(client), at: map[place]int64{}, moves: map[place][]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			w.look(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done; client.Close() })
	return w
}

// look notes what has moved. A broker that is away shows no progress.
func (w *watcher) look(ctx context.Context) {
	ends, err := w.admin.ListEndOffsets(ctx, schemas.TopicSchedules)
	if err == nil {
		ends.Each(func(o kadm.ListedOffset) { w.note(place{"scheduler", int(o.Partition)}, o.Offset, o.Err) })
	}
	groups := map[string]string{} // of the other roles
	for _, role := range path[1:] {
		groups["pricelake."+role] = role
	}
	for group, commits := range w.admin.FetchManyOffsets(ctx, slices.Collect(maps.Keys(groups))...) {
		if commits.Err != nil {
			continue
		}
		role := groups[group]
		commits.Fetched.Each(func(o kadm.OffsetResponse) {
			if o.Topic == inputs[role] {
				w.note(place{role, int(o.Partition)}, o.At, o.Err)
			}
		})
	}
}

func (w *watcher) note(p place, offset int64, err error) {
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, known := w.at[p]; !known || offset > before {
		w.at[p] = offset
		w.moves[p] = append(w.moves[p], time.Now())
	}
}

// after returns when a partition first moved after an instant.
func (w *watcher) after(p place, t time.Time) (at time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.moves[p] {
		if at.After(t) {
			return at, true
		}
	}
	return time.Time{}, false
}

// longestPause returns the longest time without progress between two instants.
func (w *watcher) longestPause(p place, from, to time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, at := range append(w.moves[p][:len(w.moves[p]):len(w.moves[p])], to) {
		if at.After(from) && !at.After(to) {
			longest = max(longest, at.Sub(last))
			last = at
		}
	}
	return longest
}

func listenLoopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
