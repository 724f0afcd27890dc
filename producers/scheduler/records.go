package scheduler

import (
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// records encodes a request and a watermark for each ask, in the asks' order.
// For the same call, slot and instant the bytes are the same.
func (s *Scheduler) records(now time.Time, asks []ask) ([]stream.Record, error) {
	now = now.UTC().Truncate(time.Microsecond)
	records := make([]stream.Record, 0, 2*len(asks))
	for _, a := range asks {
		request := newRequest(&a.call.def, a.slot, now)
		value, err := s.cfg.Requests.Append(nil, &request)
		if err != nil {
			return nil, fmt.Errorf("encoding the request of call %q: %w", request.CallID, err)
		}
		slot := schemas.SlotScheduled{
			CallID: request.CallID, Slot: a.slot, PollID: request.PollID, ScheduledAt: now, Missed: a.missed,
		}
		mark, err := s.cfg.Schedules.Append(nil, &slot)
		if err != nil {
			return nil, fmt.Errorf("encoding the slot of call %q: %w", request.CallID, err)
		}
		records = append(records, stream.Record{
			Topic: schemas.TopicRequests, Partition: stream.AnyPartition,
			Key: []byte(request.Account), Value: value, Headers: headers(&request),
		}, stream.Record{
			Topic: schemas.TopicSchedules, Partition: stream.AnyPartition,
			Key: []byte(slot.CallID), Value: mark,
		})
	}
	return records, nil
}

// newRequest derives the ids from call and slot alone: whoever asks for the
// same slot asks for the same poll.
func newRequest(def *schemas.CallDefined, slot, now time.Time) schemas.PollRequested {
	id := schemas.PollID(def.CallID, slot, schemas.OriginSchedule)
	return schemas.PollRequested{
		PollID:        id,
		CorrelationID: schemas.DeriveID("correlation", id.String()),
		CallID:        def.CallID,
		CallVersion:   def.Version,
		Account:       def.Account,
		Slot:          slot,
		RequestedAt:   now,
		Origin:        schemas.OriginSchedule,
	}
}

func headers(r *schemas.PollRequested) []stream.Header {
	return stream.CloudEvent{
		ID:          r.PollID.String(),
		Source:      "/pricelake/scheduler",
		Type:        "pricelake.v1.PollRequested",
		Time:        r.RequestedAt,
		Correlation: r.CorrelationID,
	}.Headers()
}
