package poller

import (
	"errors"
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

// publish turns a result into records, and logs it when it failed.
func (p *Poller) publish(r *stream.Record, res *result) (stream.Result, error) {
	f := &res.finished
	records, reason, text := res.responses, res.dead, f.Error
	switch finished, err := p.finishedRecord(f); {
	case errors.Is(err, errTooLarge):
		// Handing the request over again would bring the same: it is given up.
		reason, text = schemas.DeadTooLarge, err.Error()
	case err != nil:
		return stream.Result{}, err
	default:
		records = append(records, finished)
	}
	if reason != schemas.DeadUnknown {
		dead, err := p.deadLetter(r, reason, text, int32(len(f.Attempts)), f.CallID, &f.CorrelationID)
		if err != nil {
			return stream.Result{}, err
		}
		records = append(records, dead)
	}
	p.report(f)
	return stream.Result{Records: records, Committed: p.cfg.Metrics.finished(f, reason)}, nil
}

// report logs a poll that brought nothing.
func (p *Poller) report(f *schemas.PollFinished) {
	switch f.Outcome {
	case schemas.PollValued, schemas.PollPartial, schemas.PollAbsent:
		return
	}
	p.cfg.Log.Warn("poll failed",
		slog.String("outcome", f.Outcome.String()),
		slog.String("call_id", clip(f.CallID, shortErrorBytes)),
		slog.String("provider", f.Provider),
		slog.String("poll_id", f.PollID.String()),
		slog.String("correlation_id", f.CorrelationID.String()),
		slog.Int("attempts", len(f.Attempts)),
		slog.String("err", f.Error))
}

// discard gives up a request that is not a poll. request is nil when it could
// not be read.
func (p *Poller) discard(r *stream.Record, request *schemas.PollRequested, reason schemas.DeadReason, cause error) (stream.Result, error) {
	var callID string
	var correlation *schemas.ID
	if request != nil {
		callID, correlation = request.CallID, &request.CorrelationID
	} else if id := schemas.ID(r.Correlation()); !id.IsZero() {
		correlation = &id
	}
	dead, err := p.deadLetter(r, reason, cause.Error(), 0, callID, correlation)
	if err != nil {
		return stream.Result{}, err
	}
	p.cfg.Log.Warn("request discarded", "reason", reason.String(), "record", origin(r), "err", cause)
	return stream.Result{
		Records:   []stream.Record{dead},
		Committed: p.cfg.Metrics.dead.WithLabelValues(reason.String()).Inc,
	}, nil
}

// responseRecord encodes an answer. Above the record limit the error wraps
// errTooLarge: an answer is kept whole or not at all.
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
	if size, limit := sizeOf(&r), p.cfg.MaxRecordBytes(r.Topic); size > limit {
		return stream.Record{}, fmt.Errorf("an answer whose record has %d bytes where %d are allowed: %w", size, limit, errTooLarge)
	}
	return r, nil
}

// finishedRecord encodes the outcome of a poll, without its longest texts if
// that is what it takes to stay within the record limit. The error wraps
// errTooLarge when not even that is enough.
func (p *Poller) finishedRecord(f *schemas.PollFinished) (stream.Record, error) {
	limit := p.cfg.MaxRecordBytes(schemas.TopicPolls)
	r, left, err := fit(f, &f.Error, limit, finishedCuts(), func() (stream.Record, error) {
		value, err := p.cfg.Polls.Append(nil, f)
		return stream.Record{
			Topic: schemas.TopicPolls, Partition: stream.AnyPartition,
			Key: []byte(f.CallID), Value: value,
			Headers: headers(f.PollID, "PollFinished", f.FinishedAt, f.CorrelationID),
		}, err
	})
	if err != nil {
		return r, fmt.Errorf("encoding the outcome of poll %s: %w", f.PollID, err)
	}
	if size := sizeOf(&r); size > limit {
		return r, fmt.Errorf("the outcome of poll %s has %d bytes where %d are allowed: %w", f.PollID, size, limit, errTooLarge)
	}
	if len(left) > 0 {
		p.cfg.Log.Warn("outcome of a poll shortened", "call_id", clip(f.CallID, shortErrorBytes), "poll_id", f.PollID.String(), "left_out", left)
	}
	return r, nil
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
