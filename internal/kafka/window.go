package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// Window is the loop of the poller: records of a partition are worked on in
// parallel and finish out of order, within a bounded window. What a record
// brought is published first, then the record is finished; the commit is the
// lowest unfinished offset, with a note of what is finished above it. So every
// record is finished at least once, and more than once only when a process dies
// between a publication and the next commit.
type Window struct {
	Config Config
	Group  string
	Topic  string
	// InFlight bounds the records this process works on at once. 0 means 256.
	InFlight int
	// Span bounds how many records of one partition lie between the lowest
	// unfinished one and the newest begun. 0 means 1,024.
	Span int
	// CommitInterval is the least time between two commits of a partition. 0
	// means 200 ms.
	CommitInterval time.Duration
	// Gate holds back records that have not been begun; nil: never.
	Gate Gate
}

// Run serves the group until ctx ends: then it begins nothing new, lets what is
// in flight finish within Config.DrainTimeout, publishes, commits, leaves, and
// returns nil. A handler that fails is called again for the same record after a
// pause. A result that cannot be published (ErrTooLarge) is tried for ever, so
// a handler must respect MaxRecordBytes.
func (w Window) Run(ctx context.Context, handle stream.WindowHandler) error {
	w = w.withDefaults()
	err := w.Config.Validate()
	if w.Group == "" || w.Topic == "" {
		err = errors.Join(err, errors.New("window: group and topic must be set"))
	}
	if w.InFlight < 0 || w.Span < 0 || w.CommitInterval < 0 {
		err = errors.Join(err, fmt.Errorf("window: in flight %d, span %d, commit interval %v: none may be negative", w.InFlight, w.Span, w.CommitInterval))
	}
	if err != nil {
		return err
	}
	publisher, err := NewProducer(w.Config)
	if err != nil {
		return err
	}
	defer publisher.Close()
	slots := make(chan struct{}, w.InFlight)
	s, err := newMembership(w.Config, w.Group, w.Topic)
	if err != nil {
		return err
	}
	s.queueRecords, s.gate = w.Span, w.Gate
	s.work = func(ctx context.Context, a *assignment) {
		worker := &windowWorker{
			assignment: a, span: w.Span, every: w.CommitInterval,
			handle: handle, publisher: publisher, slots: slots,
			finished: make(chan *request), committed: a.at.offset, commit: a.commit,
		}
		worker.run(ctx)
	}
	s.run(ctx)
	return nil
}

func (w Window) withDefaults() Window {
	if w.InFlight == 0 {
		w.InFlight = 256
	}
	if w.Span == 0 {
		w.Span = 1024
	}
	if w.CommitInterval == 0 {
		w.CommitInterval = 200 * time.Millisecond
	}
	return w
}
