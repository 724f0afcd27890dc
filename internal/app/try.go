package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors/normalize"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
)

// TryOptions say how a call is tried.
type TryOptions struct {
	// Saved runs the mapping over Body, without network.
	Saved       bool
	Body        []byte
	Status      int
	ContentType string
	FetchedAt   time.Time // of the saved answer; now when zero
}

// Tried is what a call asked, what came back, and what would be published.
type Tried struct {
	schemas.PollFinished
	Method      string
	URL         string
	BodyBytes   int
	ContentType string
	Prices      []schemas.Price
	Rejected    []schemas.PriceRejected
}

// Try makes one poll of a call, or runs its mapping over a saved answer, and
// publishes nothing.
func Try(ctx context.Context, s Settings, log *slog.Logger, call *schemas.CallDefined, opts TryOptions) (*Tried, error) {
	if opts.FetchedAt.IsZero() {
		opts.FetchedAt = time.Now()
	}
	now := opts.FetchedAt.UTC().Truncate(time.Microsecond)
	req := schemas.PollRequested{
		PollID:      schemas.PollID(call.CallID, now, schemas.OriginAPI),
		CallID:      call.CallID,
		CallVersion: call.Version,
		Account:     call.Account,
		Slot:        now,
		RequestedAt: now,
		Origin:      schemas.OriginAPI,
	}
	req.CorrelationID = schemas.DeriveID("correlation", req.PollID.String())
	if opts.Saved {
		return trySaved(ctx, call, req, opts)
	}
	return tryLive(ctx, s, log, call, req)
}

// trySaved maps a saved answer as if an attempt had just brought it.
func trySaved(ctx context.Context, call *schemas.CallDefined, req schemas.PollRequested, opts TryOptions) (*Tried, error) {
	resp := &schemas.ResponseReceived{
		ResponseID:    schemas.ResponseID(req.PollID, 1),
		PollID:        req.PollID,
		CorrelationID: req.CorrelationID,
		CallID:        call.CallID,
		CallVersion:   call.Version,
		Provider:      call.Provider,
		Attempt:       1,
		Slot:          req.Slot,
		RequestedAt:   req.RequestedAt,
		FetchedAt:     req.RequestedAt,
		Method:        call.Request.Method,
		URL:           call.Request.URL,
		Status:        int32(opts.Status),
		Headers:       map[string]string{},
		Body:          opts.Body,
	}
	if opts.ContentType != "" {
		resp.Headers["content-type"] = opts.ContentType
	}
	id := resp.ResponseID
	finished := schemas.PollFinished{
		PollID: req.PollID, CallID: call.CallID, Provider: call.Provider, Slot: req.Slot, Requested: int32(len(call.Symbols)),
		Attempts: []schemas.PollAttempt{{Number: 1, StartedAt: req.RequestedAt, Status: resp.Status, Outcome: schemas.AttemptOK, ResponseID: &id}},
	}
	if opts.Status < 200 || opts.Status > 299 {
		finished.Outcome, finished.Failed = schemas.PollFailed, finished.Requested
		finished.Attempts[0].Outcome = schemas.AttemptStatus
		finished.Error = fmt.Sprintf("status %d", opts.Status)
		return mapped(ctx, call, resp, finished)
	}
	reading := newMappings().Read(call, resp)
	finished.Requested = int32(len(reading.Symbols))
	finished.Outcome, finished.Error = reading.Outcome, reading.Error
	finished.Symbols, finished.Unlisted = reading.Symbols, reading.Unlisted
	for _, s := range reading.Symbols {
		switch s.Outcome {
		case schemas.ValueValued:
			finished.Valued++
		case schemas.ValueAbsent:
			finished.Absent++
		default:
			finished.Failed++
		}
	}
	return mapped(ctx, call, resp, finished)
}

// tryLive polls with the poller itself; its codecs only take note of what it
// would publish.
func tryLive(ctx context.Context, s Settings, log *slog.Logger, call *schemas.CallDefined, req schemas.PollRequested) (*Tried, error) {
	// Whoever tries a call is at this machine already.
	s.Config.Poller.AllowPrivate = append(s.Config.Poller.AllowPrivate, LoopbackHosts()...)
	client := newHTTPClient(s)
	defer client.Close()
	var last *schemas.ResponseReceived
	var finished schemas.PollFinished
	p := poller.New(poller.Config{
		Client:   client,
		Calls:    oneCall{call},
		Reader:   newMappings(),
		Requests: oneRequest{req},
		Responses: noted[schemas.ResponseReceived](func(v *schemas.ResponseReceived) {
			c := *v
			last = &c
		}),
		Polls:       noted[schemas.PollFinished](func(v *schemas.PollFinished) { finished = *v }),
		DeadLetters: noted[schemas.DeadLetter](func(*schemas.DeadLetter) {}),
		Metrics:     poller.NewMetrics(nil),
		Log:         log,
	})
	_, err := p.Handle(ctx, stream.Record{Topic: schemas.TopicRequests, Key: []byte(call.Account), Value: []byte{0}})
	if err != nil {
		return nil, err
	}
	return mapped(ctx, call, last, finished)
}

// mapped adds the events that the last answer would become.
func mapped(ctx context.Context, call *schemas.CallDefined, resp *schemas.ResponseReceived, finished schemas.PollFinished) (*Tried, error) {
	t := &Tried{PollFinished: finished, Method: call.Request.Method, URL: fullURL(&call.Request)}
	if resp == nil {
		return t, nil
	}
	t.BodyBytes, t.ContentType = len(resp.Body), resp.Headers["content-type"]
	n := normalize.Normalizer{Calls: askedCall{call}, Reader: newMappings()}
	events, err := n.Process(ctx, *resp)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		if e.Price != nil {
			t.Prices = append(t.Prices, *e.Price)
		} else {
			t.Rejected = append(t.Rejected, *e.Rejected)
		}
	}
	return t, nil
}

// fullURL is the request's URL with its query as the catalog has it: secrets
// are references there.
func fullURL(r *schemas.CallRequest) string {
	if len(r.Query) == 0 {
		return r.URL
	}
	query := url.Values{}
	for k, v := range r.Query {
		query.Set(k, v)
	}
	return r.URL + "?" + query.Encode()
}

// oneCall is a catalog of one call.
type oneCall struct{ call *schemas.CallDefined }

func (c oneCall) Call(context.Context, string, string) (*schemas.CallDefined, error) {
	return c.call, nil
}

// askedCall is oneCall for the normalizer.
type askedCall struct{ call *schemas.CallDefined }

func (c askedCall) Call(context.Context, string, string, time.Time) (*schemas.CallDefined, error) {
	return c.call, nil
}

// oneRequest decodes anything as the one request.
type oneRequest struct{ req schemas.PollRequested }

func (r oneRequest) Decode(_ context.Context, _ []byte, v *schemas.PollRequested) error {
	*v = r.req
	return nil
}

// noted is an encoder that only takes note.
type noted[T any] func(v *T)

var errNoValue = errors.New("nothing to encode")

func (n noted[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return nil, errNoValue
	}
	n(v)
	return dst, nil
}
