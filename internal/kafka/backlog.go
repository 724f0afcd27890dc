package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// backlog fetches what one worker lacks of a long backlog, a piece at a time and only
// when all before it was handed on. The consuming client reads ahead for all partitions
// at once: what it read waits in memory, where nothing of it is in a cache any more when
// it is looked at, and what it has of a partition that is paused it reads again. It
// does not fetch the partition meanwhile, and goes on behind the backlog, or where
// anything is not as expected: it then finds out what. A backlog is its worker's.
type backlog struct {
	fetcher *fetcher
	batches batches
	on      bool
	rest    time.Time // not to be on before
}

const (
	// backlogPatience bounds a fetch, for which the broker waits for nothing.
	backlogPatience = 5 * time.Second
	// backlogRest is how long the client fetches after something went wrong.
	backlogRest = 10 * time.Second
	// unusualRest is that after what only the client reads: there is likely to be more.
	unusualRest = time.Minute
	// leastFetchBytes is asked for however little a partition may hold.
	leastFetchBytes = 16 << 10
)

// newBacklog returns the backlog of an assignment; rooms has spare memory.
func newBacklog(client *kgo.Client, tp stream.TopicPartition, id stream.TopicID, rooms *sync.Pool) *backlog {
	b := &backlog{fetcher: newFetcher(client, tp)}
	b.batches = batches{topic: tp.Topic, id: id, partition: tp.Partition, rooms: rooms}
	return b
}

// fetch gets what there is from an offset on. It ends when stopping is closed.
func (b *backlog) fetch(ctx context.Context, stopping <-chan struct{}, from int64) (*kmsg.FetchResponseTopicPartition, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogPatience)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-stopping:
			cancel()
		case <-ended:
		}
	}()
	p, err := b.fetcher.ask(ctx, from, 0)
	if err == nil && b.fetcher.id != b.batches.id {
		err = errPosition // another topic has its name by now
	}
	return p, err
}

// free gives back memory that nothing needs; b may be nil.
func (b *backlog) free(q *queue) {
	if b != nil {
		b.batches.free(q)
	}
}

// refill fetches more of a backlog into the queue, which is empty, and reports whether
// it moved on.
func (w *rangeWorker) refill(ctx context.Context) bool {
	b := w.backlog
	if b == nil || !b.on || w.ending() || !w.queue.open() {
		return false
	}
	from := w.queue.position().Offset
	// What it becomes takes several times its bytes, at each partition at once.
	b.fetcher.maxBytes = int32(min(rangeFetchBytes, max(w.queue.most()/8, leastFetchBytes))) //nolint:gosec // it is small
	p, err := b.fetch(ctx, w.stopping, from)
	if err == nil {
		w.progress.seen(p.HighWatermark)
		err = w.queue.refill(p, &b.batches)
	}
	at := w.queue.position().Offset
	unusual := errors.Is(err, errUnusual)
	switch {
	case unusual:
		b.rest = time.Now().Add(unusualRest)
	case err != nil:
		b.fetcher.leader, b.rest = -1, time.Now().Add(backlogRest)
	}
	if err != nil && !unusual && !w.ending() {
		w.failed("fetch", "fetching a backlog failed; the consumer goes on", err)
	}
	if err != nil || at == from || p.LastStableOffset-at < int64(w.flush.Gather) {
		w.leaveBacklog()
	}
	return at > from
}

// takeBacklog takes the fetching from the client where the broker has more than a range.
func (w *rangeWorker) takeBacklog() {
	b := w.backlog
	if b == nil || b.on || w.plain > 0 || w.ending() || time.Now().Before(b.rest) {
		return
	}
	b.on = w.queue.detach(w.flush.Rows)
}

// leaveBacklog has the client go on at what comes next.
func (w *rangeWorker) leaveBacklog() {
	w.backlog.on = false
	w.member.goOn(w.assignment, w.queue.position())
}
