package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// Window is the loop of the poller: records of a partition are worked on in
// parallel and finish out of order, within a bounded window. What a record
// brought leaves in one Kafka transaction with the position: the lowest unfinished
// offset, and a note of what is finished above it. So what every record brings is
// in the log once, although the work itself is done again when a process dies, or
// is not done with it when the partition moves.
type Window struct {
	Config Config
	Group  string
	Topic  string
	// TransactionalID names this process among those of the role, as
	// Transact.TransactionalID does.
	TransactionalID string
	// Family and Outputs are as those of Transact.
	Family  string
	Outputs []string
	// InFlight bounds the records this process works on at once, and of which it
	// holds what they brought until that is committed. 0 means 256.
	InFlight int
	// Span bounds how many records of one partition lie between the lowest
	// unfinished one and the newest begun. 0 means 1,024. What a commit can note
	// bounds it too, at 5,850 offsets.
	Span int
	// CommitInterval is the least time between the starts of two transactions.
	// What finishes after a quiet interval does not wait. 0 means 50 ms.
	CommitInterval time.Duration
	// Gate holds back records that have not been begun; nil: never.
	Gate Gate
}

// Run serves the group until ctx ends: then it begins nothing new, lets what is
// in flight finish within Config.DrainTimeout, commits, leaves, and returns nil. A
// handler that fails is called again for the same record after a pause, and so is
// one whose results are above the limits of their topics (MaxRecordBytes).
func (w Window) Run(ctx context.Context, handle stream.WindowHandler) error {
	w = w.withDefaults()
	if err := w.validate(); err != nil {
		return err
	}
	slots := make(chan struct{}, w.InFlight)
	m, err := newMembership(w.Config, w.Group, w.Topic)
	if err != nil {
		return err
	}
	s := newSettler(w, m)
	m.queueRecords, m.gate = w.Span, w.Gate
	m.work = func(ctx context.Context, a *assignment) {
		worker := &windowWorker{
			assignment: a, span: w.Span, every: w.CommitInterval,
			handle: handle, settler: s, slots: slots,
			finished: make(chan *request), committed: a.at.offset, commit: a.commit,
		}
		worker.run(ctx)
	}
	others := mender{cfg: w.Config, id: w.TransactionalID, family: w.Family, outputs: w.Outputs, group: w.Group, topics: m.topics, metrics: m.metrics, log: m.log}
	stopWatch, err := others.watching(ctx)
	if err != nil {
		return err
	}
	defer stopWatch()
	// The settler outlives the workers: the last of them wait for it.
	settling, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.run(settling)
	}()
	m.run(ctx)
	stop()
	<-stopped
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
		w.CommitInterval = 50 * time.Millisecond
	}
	return w
}

func (w Window) validate() error {
	err := w.Config.Validate()
	if w.Group == "" || w.Topic == "" {
		err = errors.Join(err, errors.New("window: group and topic must be set"))
	}
	if strings.TrimSpace(w.TransactionalID) == "" {
		err = errors.Join(err, errors.New("window: the transactional id is empty: give the process a name that outlives a restart"))
	}
	if w.InFlight < 0 || w.Span < 0 || w.CommitInterval < 0 {
		err = errors.Join(err, fmt.Errorf("window: in flight %d, span %d, commit interval %v: none may be negative", w.InFlight, w.Span, w.CommitInterval))
	}
	return err
}
