package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// input is what one poll brought for one partition.
type input struct {
	part  *part
	stage stream.Stage
	batch stream.Batch
	next  int64 // the position behind it, markers included

	output stream.Output
	acks   *acks
	err    error
}

// loop polls, handles and commits until serving ends.
func (s *session) loop() {
	defer s.client.AllowRebalance()
	// Taking the transactional id aborts what a killed predecessor left open.
	// Its offsets would otherwise keep this session waiting for them.
	if _, _, err := s.client.ProducerID(s.serving); err != nil {
		s.end(fmt.Errorf("taking over transactional id %q: %w", s.id, err))
	}
	s.connector.armed.Store(true)
	var marks markers
	for s.serving.Err() == nil {
		s.heed()
		inputs := s.poll()
		switch {
		case s.wasRevoked():
			// Something went away while we polled. The session would refuse to
			// commit; ending it now makes it forget, and go back to where the
			// partitions that stayed are committed.
			s.abort("revoked")
			marks = markers{}
		case len(inputs) > 0 && !s.joined():
			if s.serving.Err() == nil {
				s.abort("rebalance")
				marks = markers{}
			}
		case hasRecords(inputs):
			s.transact(marks.join(inputs))
			marks = markers{}
		default:
			marks.add(inputs)
			if marks.due() && s.joined() {
				s.transact(marks.join(nil))
				marks = markers{}
			}
		}
		s.client.AllowRebalance()
	}
}

// heed stops and starts fetching as the gate says. The loop comes here once a
// second at least. Partitions that rest or wait for their stage are paused one by
// one, which is kept apart from this.
func (s *session) heed() {
	switch held, _ := closed(s.Gate); {
	case held == s.held:
	case held:
		s.held = true
		s.client.PauseFetchTopics(s.topics...)
	default:
		s.held = false
		s.client.ResumeFetchTopics(s.topics...)
	}
}

// markers holds polls that brought nothing but transaction markers. They are
// committed with the next records, or after a second without any, so that the
// lag of an idle group reads 0.
type markers struct {
	since  time.Time
	inputs map[stream.TopicPartition]*input
}

func (m *markers) add(inputs []*input) {
	if len(inputs) > 0 && m.inputs == nil {
		m.since, m.inputs = time.Now(), make(map[stream.TopicPartition]*input)
	}
	for _, in := range inputs {
		m.inputs[stream.TopicPartition{Topic: in.batch.Topic, Partition: in.batch.Partition}] = in
	}
}

// markersEvery is how long markers wait for records to be committed with.
const markersEvery = time.Second

func (m *markers) due() bool { return len(m.inputs) > 0 && time.Since(m.since) > markersEvery }

// join returns inputs with the markers of partitions that are not among them.
func (m *markers) join(inputs []*input) []*input {
	for _, in := range inputs {
		delete(m.inputs, stream.TopicPartition{Topic: in.batch.Topic, Partition: in.batch.Partition})
	}
	for _, in := range m.inputs {
		inputs = append(inputs, in)
	}
	return inputs
}

// poll returns what there is, by partition. It waits for records, but no longer
// than until a resting partition may go on.
func (s *session) poll() []*input {
	wait := time.Second
	now := time.Now()
	s.mu.Lock()
	for _, p := range s.parts {
		switch {
		case p.resume.IsZero():
		case !p.resume.After(now):
			p.resume = time.Time{}
			s.unpause(p.TopicPartition)
		default:
			wait = min(wait, p.resume.Sub(now))
		}
	}
	s.mu.Unlock()
	if d := time.Until(s.next); d > 0 && !pause(s.serving, d) {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.serving, wait)
	defer cancel()
	fetches := s.client.PollRecords(ctx, s.most())
	s.next = time.Now().Add(s.Linger)
	fetches.EachError(func(topic string, partition int32, err error) { s.fetchFailed(topic, partition, err) })
	var inputs []*input
	for _, fetch := range fetches {
		for i := range fetch.Topics {
			inputs = s.collect(inputs, &fetch.Topics[i])
		}
	}
	return inputs
}

// most is how many records the next transaction takes at most. What is fetched by
// the next poll only is taken to be like what was waiting before it.
func (s *session) most() int {
	if n := s.client.BufferedFetchRecords(); n > 0 {
		s.mean = s.client.BufferedFetchBytes() / n
	}
	return min(s.MaxRecords, max(1, int(int64(s.MaxBytes)/max(1, s.mean))))
}

func (s *session) collect(inputs []*input, t *kgo.FetchTopic) []*input {
	for i := range t.Partitions {
		p := &t.Partitions[i]
		tp := stream.TopicPartition{Topic: t.Topic, Partition: p.Partition}
		s.mu.Lock()
		part := s.parts[tp]
		s.mu.Unlock()
		if part != nil {
			part.progress.seen(p.HighWatermark)
		}
		if len(p.Records) == 0 {
			continue
		}
		in := &input{part: part, next: p.Records[len(p.Records)-1].Offset + 1}
		in.batch = stream.Batch{Topic: t.Topic, TopicID: stream.TopicID(t.TopicID), Partition: p.Partition,
			Records: make([]stream.Record, 0, len(p.Records))}
		for _, r := range p.Records {
			if !r.Attrs.IsControl() {
				in.batch.Records = append(in.batch.Records, fromClient(r, in.batch.TopicID))
			}
		}
		inputs = append(inputs, in)
	}
	return inputs
}

func hasRecords(inputs []*input) bool {
	for _, in := range inputs {
		if len(in.batch.Records) > 0 {
			return true
		}
	}
	return false
}

func (s *session) fetchFailed(topic string, partition int32, err error) {
	if ended(s.serving, err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	var session *kgo.ErrGroupSession
	if errors.As(err, &session) {
		s.log.Warn("losing the session with the consumer group", "err", known(session.Err))
		return
	}
	s.end(fmt.Errorf("fetching %s/%d: %w: %w", topic, partition, errPosition, known(err)))
}

func (s *session) wasRevoked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revoked
}
