package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// part is one partition of a session for the time of one assignment, with its
// stage. A partition that comes back is another part with another stage (I6).
type part struct {
	stream.TopicPartition
	progress *progress
	ctx      context.Context // ends with the assignment
	cancel   context.CancelFunc
	opened   chan struct{} // closed when the opener has returned

	mu      sync.Mutex
	stage   stream.Stage // nil until opened
	retired bool

	// Of the loop only.
	fails  int
	resume time.Time // when a partition that rests goes on; zero: it does not rest
}

// begin opens the stage of a newly assigned partition in the background. Until
// that is done the partition is paused: what is polled is part of the next
// transaction, so nothing may be polled that cannot be handled. before is the
// part whose position this one goes on from; nil where claim will say.
func (s *session) begin(tp stream.TopicPartition, before *part) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{TopicPartition: tp, ctx: ctx, cancel: cancel, opened: make(chan struct{}), progress: s.metrics.track(s.group, tp)}
	if before != nil {
		p.progress.resumes(before.progress)
	}
	s.mu.Lock()
	if s.serving.Err() != nil { // on our way out: retireAll may have been
		s.mu.Unlock()
		cancel()
		s.metrics.leave(p.progress, false)
		return
	}
	s.parts[tp] = p
	s.mu.Unlock()
	s.pause(tp)
	s.openers.Go(func() {
		defer close(p.opened)
		s.openStage(p)
	})
}

func (s *session) openStage(p *part) {
	for fails := 1; ; fails++ {
		stage, err := s.open(p.ctx, p.TopicPartition)
		if err == nil {
			p.mu.Lock()
			if !p.retired {
				p.stage = stage
				p.mu.Unlock()
				s.unpause(p.TopicPartition)
				return
			}
			p.mu.Unlock()
			s.close(p.TopicPartition, stage)
			return
		}
		if p.ctx.Err() != nil {
			return
		}
		s.failed("open", p.TopicPartition, "opening a partition's stage failed; trying again", err)
		if !pause(p.ctx, backoff(fails, 100*time.Millisecond, 10*time.Second)) {
			return
		}
	}
}

// retire closes the stages of parts that are no longer in s.parts, in parallel.
// An opener that ignores the end of its context closes its stage itself later.
func (s *session) retire(parts []*part, lost bool) {
	var ending sync.WaitGroup
	for _, p := range parts {
		ending.Go(func() {
			p.cancel()
			t := time.NewTimer(s.cfg.DrainTimeout)
			defer t.Stop()
			select {
			case <-p.opened:
			case <-t.C:
				s.log.Warn("opening a partition's stage goes on after the partition was revoked", "topic", p.Topic, "partition", p.Partition)
			}
			p.mu.Lock()
			stage := p.stage
			p.stage, p.retired = nil, true
			p.mu.Unlock()
			if stage != nil {
				s.close(p.TopicPartition, stage)
			}
			s.metrics.leave(p.progress, lost)
		})
	}
	ending.Wait()
}

func (s *session) retireAll(lost bool) {
	s.mu.Lock()
	var all []*part
	for tp, p := range s.parts {
		delete(s.parts, tp)
		all = append(all, p)
	}
	s.mu.Unlock()
	s.retire(all, lost)
}

// reopen gives a partition that stays another stage, opened from what is
// durable.
func (s *session) reopen(p *part) {
	s.mu.Lock()
	if s.parts[p.TopicPartition] != p {
		s.mu.Unlock()
		return
	}
	delete(s.parts, p.TopicPartition)
	s.mu.Unlock()
	s.retire([]*part{p}, false)
	s.begin(p.TopicPartition, p)
}

func (s *session) close(tp stream.TopicPartition, stage stream.Stage) {
	if err := stage.Close(); err != nil {
		s.log.Warn("closing a partition's stage failed", "topic", tp.Topic, "partition", tp.Partition, "err", err)
	}
}

func (s *session) pause(tp stream.TopicPartition) {
	s.client.PauseFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
}

func (s *session) unpause(tp stream.TopicPartition) {
	s.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
}

func (s *session) failed(step string, tp stream.TopicPartition, text string, err error) {
	s.metrics.retries.WithLabelValues(s.group, tp.Topic, step).Inc()
	s.log.Warn(text, "topic", tp.Topic, "partition", tp.Partition, "err", err) //nolint:sloglint // the callers' texts are constants
}
