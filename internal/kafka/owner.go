package kafka

import (
	"context"
	"errors"
	"time"
)

// Owner decides who owns each partition of a topic, by membership of a
// consumer group, without reading or committing anything.
type Owner struct {
	Config Config
	Group  string
	Topic  string
}

// Run calls fn for each partition while this process owns it, each in a
// goroutine of its own, until ctx ends; then it returns nil. ctx of fn ends
// with the ownership, and fn must return then: the partition's next owner waits
// for it, though not longer than Config.DrainTimeout. An fn that returns early
// is called again after a pause.
//
// Ownership is a lease, not a lock: a process that was frozen may believe in it
// for a moment too long. What must happen once goes through a Txn.
func (o Owner) Run(ctx context.Context, fn func(ctx context.Context, partition int32) error) error {
	err := o.Config.Validate()
	if o.Group == "" || o.Topic == "" {
		err = errors.Join(err, errors.New("owner: group and topic must be set"))
	}
	if err != nil {
		return err
	}
	s, err := newMembership(o.Config, o.Group, o.Topic)
	if err != nil {
		return err
	}
	s.consume = false
	s.work = func(ctx context.Context, a *assignment) { own(ctx, a, fn) }
	s.run(ctx)
	return nil
}

func own(ctx context.Context, a *assignment, fn func(ctx context.Context, partition int32) error) {
	// fn knows one signal only: there is nothing in hand to finish.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting = make(chan struct{})
	go func() {
		defer close(waiting)
		select {
		case <-a.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-waiting }()
	for fails := 1; !a.ending(); fails++ {
		started := time.Now()
		err := fn(ctx, a.Partition)
		if a.ending() {
			return
		}
		if time.Since(started) > time.Minute {
			fails = 1
		}
		a.member.metrics.retries.WithLabelValues(a.member.group, a.Topic, "own").Inc()
		a.member.log.Warn("the work on an owned partition ended; starting it again", "topic", a.Topic, "partition", a.Partition, "err", err)
		if !a.rest(backoff(fails, 50*time.Millisecond, 5*time.Second)) {
			return
		}
	}
}
