package poller

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

const (
	role   = "poller"
	source = "/pricelake/" + role
)

// publish turns a result into records, counts it, and logs it when it failed.
func (p *Poller) publish(r *stream.Record, res *result) ([]stream.Record, error) {
	f := &res.finished
	value, err := p.cfg.Polls.Append(nil, f)
	if err != nil {
		return nil, fmt.Errorf("encoding the outcome of poll %s: %w", f.PollID, err)
	}
	records := append(res.responses, stream.Record{
		Topic: schemas.TopicPolls, Partition: stream.AnyPartition,
		Key: []byte(f.CallID), Value: value,
		Headers: headers(f.PollID, "PollFinished", f.FinishedAt, f.CorrelationID),
	})
	if res.dead != schemas.DeadUnknown {
		dead, err := p.deadLetter(r, res.dead, f.Error, int32(len(f.Attempts)), f.CallID, &f.CorrelationID)
		if err != nil {
			return nil, err
		}
		records = append(records, dead)
	}
	p.cfg.Metrics.finished(f)
	p.report(f)
	return records, nil
}

// report logs a poll that brought nothing.
func (p *Poller) report(f *schemas.PollFinished) {
	switch f.Outcome {
	case schemas.PollValued, schemas.PollPartial, schemas.PollAbsent:
		return
	}
	p.cfg.Log.Warn("poll failed",
		slog.String("outcome", f.Outcome.String()),
		slog.String("call_id", f.CallID),
		slog.String("provider", f.Provider),
		slog.String("poll_id", f.PollID.String()),
		slog.String("correlation_id", f.CorrelationID.String()),
		slog.Int("attempts", len(f.Attempts)),
		slog.String("err", f.Error))
}

// discard gives up a request that is not a poll. request is nil when it could
// not be read.
func (p *Poller) discard(r *stream.Record, request *schemas.PollRequested, reason schemas.DeadReason, cause error) ([]stream.Record, error) {
	var callID string
	var correlation *schemas.ID
	if request != nil {
		callID, correlation = request.CallID, &request.CorrelationID
	}
	dead, err := p.deadLetter(r, reason, clip(cause.Error(), maxErrorBytes), 0, callID, correlation)
	if err != nil {
		return nil, err
	}
	p.cfg.Log.Warn("request discarded", "reason", reason.String(), "record", origin(r), "err", cause)
	return []stream.Record{dead}, nil
}

// responseRecord encodes an answer. Above the record limit the error wraps
// errTooLarge.
func (p *Poller) responseRecord(a *schemas.ResponseReceived) (stream.Record, error) {
	value, err := p.cfg.Responses.Append(make([]byte, 0, len(a.Body)+1024), a)
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding the answer %s: %w", a.ResponseID, err)
	}
	r := stream.Record{
		Topic: schemas.TopicResponses, Partition: stream.AnyPartition,
		Key: []byte(a.CallID), Value: value,
		Headers: headers(a.ResponseID, "ResponseReceived", a.FetchedAt, a.CorrelationID),
	}
	if size := sizeOf(&r); size > recordLimit {
		return stream.Record{}, fmt.Errorf("an answer whose record has %d bytes where %d are allowed: %w", size, recordLimit, errTooLarge)
	}
	return r, nil
}

// recordOverhead covers the framing of a record and of the batch it is alone
// in.
const recordOverhead = 256

func sizeOf(r *stream.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 10
	}
	return n
}

func (p *Poller) deadLetter(r *stream.Record, reason schemas.DeadReason, text string, attempts int32, callID string, correlation *schemas.ID) (stream.Record, error) {
	letter := schemas.DeadLetter{
		DeadLetterID:    schemas.DeadLetterID(r.Topic, schemas.ID(r.TopicID), r.Partition, r.Offset),
		OriginTopic:     r.Topic,
		OriginTopicID:   schemas.ID(r.TopicID),
		OriginPartition: r.Partition,
		OriginOffset:    r.Offset,
		OriginTimestamp: micros(r.Timestamp),
		Role:            role,
		Reason:          reason,
		Error:           text,
		Attempts:        attempts,
		CallID:          callID,
		CorrelationID:   correlation,
		FailedAt:        micros(p.cfg.Now()),
		Key:             r.Key,
		Value:           r.Value,
		Headers:         make(map[string][]byte, len(r.Headers)),
	}
	for _, h := range r.Headers {
		letter.Headers[clip(h.Key, maxErrorBytes)] = h.Value
	}
	value, err := p.cfg.DeadLetters.Append(nil, &letter)
	if err != nil {
		return stream.Record{}, fmt.Errorf("encoding the dead letter of %s: %w", origin(r), err)
	}
	var trace schemas.ID
	if correlation != nil {
		trace = *correlation
	}
	return stream.Record{
		Topic: schemas.TopicDeadLetters, Partition: stream.AnyPartition,
		Key: []byte(origin(r)), Value: value,
		Headers: headers(letter.DeadLetterID, "DeadLetter", letter.FailedAt, trace),
	}, nil
}

// origin names a record as the keys of dead letters do.
func origin(r *stream.Record) string {
	return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
}

func headers(id schemas.ID, event string, at time.Time, correlation schemas.ID) []stream.Header {
	return stream.CloudEvent{
		ID: id.String(), Source: source, Type: "pricelake.v1." + event, Time: at, Correlation: correlation,
	}.Headers()
}
