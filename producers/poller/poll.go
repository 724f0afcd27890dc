package poller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

const (
	defaultAttempts   = 5
	mostAttempts      = 20
	defaultBackoff    = 500 * time.Millisecond
	defaultMaxBackoff = 30 * time.Second
	maxErrorBytes     = 4 << 10 // of a text in a record
)

// result is what became of a poll.
type result struct {
	finished  schemas.PollFinished
	responses []stream.Record
	// dead is why the request also goes to the dead letters, DeadUnknown when
	// it does not.
	dead schemas.DeadReason
}

// poll is one poll while it is performed, by one goroutine.
type poll struct {
	*Poller
	def     *schemas.CallDefined
	request *schemas.PollRequested
	result  result
	started time.Time
	budget  time.Duration
}

// perform makes attempts until one brings an answer with status 2xx, one fails
// in a way that repeating cannot cure, or there are no more.
func (p *Poller) perform(ctx context.Context, request *schemas.PollRequested, def *schemas.CallDefined) (*result, error) {
	poll := &poll{Poller: p, def: def, request: request, started: p.cfg.Now()}
	poll.budget = max(p.cfg.Budget, time.Duration(def.Request.TimeoutMicros)*time.Microsecond)
	poll.result.finished = opened(request, def.Provider, def.Version, poll.started)
	most := def.Request.MaxAttempts
	if most <= 0 {
		most = defaultAttempts
	}
	most = min(most, mostAttempts)
	var pause time.Duration
	for n := int32(1); ; n++ {
		a, err := poll.attempt(ctx, n, pause)
		if err != nil {
			return poll.stopped(ctx, err)
		}
		last := poll.result.finished.Attempts[n-1]
		switch {
		case last.Outcome == schemas.AttemptOK:
			return poll.read(n, a)
		case last.Outcome == schemas.AttemptTooLarge:
			return poll.failed(schemas.PollTooLarge, schemas.DeadTooLarge, last.Error), nil
		case n >= most || !again(&last):
			return poll.failed(schemas.PollFailed, schemas.DeadAttempts, last.Error), nil
		}
		pause = max(poll.backoff(n+1), a.Wait)
		if spent := p.cfg.Now().Sub(poll.started); spent+pause > poll.budget {
			text := fmt.Sprintf("%s; the next attempt, in %s, would start after the poll's time of %s", last.Error, pause, poll.budget)
			return poll.failed(schemas.PollFailed, schemas.DeadAttempts, text), nil
		}
		if err := p.cfg.Failpoints.Hit(failpoint.PollerRetry); err != nil {
			return nil, poll.interrupted(err)
		}
		if err := p.cfg.Sleep(ctx, pause); err != nil {
			return nil, poll.interrupted(err)
		}
	}
}

// errNoRoom says that the limiter let no attempt start within the budget.
var errNoRoom = errors.New("no room for an attempt")

// attempt waits for its turn, makes attempt n and adds it to the result. pause
// is how long it was put off already. An error means that it was not made.
func (p *poll) attempt(ctx context.Context, n int32, pause time.Duration) (Answer, error) {
	asked := p.cfg.Now()
	left := p.budget - asked.Sub(p.started)
	turn, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	release, err := p.cfg.Limiter.Acquire(turn, p.def.Account, host(p.def.Request.URL))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", errNoRoom, err)
	}
	defer release()
	inFlight, cancel := p.draining(ctx, left)
	defer cancel()
	begun := p.cfg.Now()
	a, failure := p.cfg.Client.Do(inFlight, &p.def.Request)
	ended := p.cfg.Now()
	if failure != nil && ctx.Err() != nil {
		return a, p.interrupted(ctx.Err()) // perhaps our doing, not the server's
	}
	if err := p.answered(a); err != nil {
		return a, err
	}
	waited := pause + begun.Sub(asked)
	at := schemas.PollAttempt{
		Number: n, StartedAt: micros(begun), DurationMicros: ended.Sub(begun).Microseconds(),
		Status: a.Status, Outcome: a.Outcome, WaitedMicros: waited.Microseconds(),
	}
	switch {
	case failure != nil:
		at.Error = clip(failure.Error(), maxErrorBytes)
	case a.Outcome != schemas.AttemptOK:
		at.Error = fmt.Sprintf("status %d %s", a.Status, http.StatusText(int(a.Status)))
	}
	if a.Complete {
		if err := p.keep(n, &at, a); err != nil {
			return a, err
		}
	}
	p.cfg.Metrics.attempts.WithLabelValues(p.def.Provider, at.Outcome.String()).Inc()
	p.result.finished.Attempts = append(p.result.finished.Attempts, at)
	return a, nil
}

// answered passes the place between an answer and what is made of it.
func (p *poll) answered(a Answer) error {
	if !a.Complete {
		return nil
	}
	if err := p.cfg.Failpoints.Hit(failpoint.PollerAnswerRead); err != nil {
		return p.interrupted(err)
	}
	return nil
}

// draining returns a context for an attempt: it outlives ctx by the drain time,
// and ends with the poll's budget.
func (p *poll) draining(ctx context.Context, left time.Duration) (context.Context, context.CancelFunc) {
	inFlight, cancel := context.WithTimeout(context.WithoutCancel(ctx), left)
	stop := context.AfterFunc(ctx, func() {
		// The timer is never stopped: cancelling twice does no harm, and it
		// holds nothing for longer than the drain time.
		time.AfterFunc(p.cfg.Drain, cancel)
	})
	return inFlight, func() { stop(); cancel() }
}

// keep adds the record of a complete answer to the result. One that is above
// the record limit all the same makes the attempt too large, unless its status
// says more: a server that is busy is asked again, however much it says about it.
func (p *poll) keep(n int32, at *schemas.PollAttempt, a Answer) error {
	response := p.response(n, a)
	record, err := p.responseRecord(response)
	if errors.Is(err, errTooLarge) {
		if at.Outcome == schemas.AttemptOK {
			at.Outcome = schemas.AttemptTooLarge
		}
		at.Error = clip(strings.TrimPrefix(at.Error+": "+err.Error(), ": "), maxErrorBytes)
		return nil
	}
	if err != nil {
		return err
	}
	at.ResponseID = &response.ResponseID
	p.result.responses = append(p.result.responses, record)
	return nil
}

func (p *poll) response(n int32, a Answer) *schemas.ResponseReceived {
	return &schemas.ResponseReceived{
		ResponseID:    schemas.ResponseID(p.request.PollID, n),
		PollID:        p.request.PollID,
		CorrelationID: p.request.CorrelationID,
		CallID:        p.def.CallID,
		CallVersion:   p.def.Version,
		Provider:      p.def.Provider,
		Attempt:       n,
		Slot:          p.request.Slot,
		RequestedAt:   micros(a.RequestedAt),
		FetchedAt:     micros(a.FetchedAt),
		Method:        a.Method,
		URL:           a.URL,
		Status:        a.Status,
		Headers:       a.Headers,
		Body:          a.Body,
	}
}

// read ends the poll with what the mapping reads out of the answer. An answer
// that cannot be read, or says that the call failed, is final: asking again at
// once would bring it again.
func (p *poll) read(n int32, a Answer) (*result, error) {
	reading := p.cfg.Reader.Read(p.def, p.response(n, a))
	f := &p.result.finished
	f.FinishedAt = micros(p.cfg.Now())
	f.Outcome = reading.Outcome
	f.Error = clip(reading.Error, maxErrorBytes)
	f.Unlisted = reading.Unlisted
	f.Symbols = once(reading.Symbols, reading.Error)
	if len(f.Symbols) == 0 {
		f.Symbols = allFailed(p.def.Symbols, f.FinishedAt)
	}
	count(f)
	return &p.result, nil
}

// failed ends the poll without an answer to read.
func (p *poll) failed(outcome schemas.PollOutcome, dead schemas.DeadReason, text string) *result {
	f := &p.result.finished
	f.FinishedAt = micros(p.cfg.Now())
	f.Outcome = outcome
	f.Error = clip(text, maxErrorBytes)
	f.Symbols = allFailed(p.def.Symbols, f.FinishedAt)
	count(f)
	p.result.dead = dead
	return &p.result
}

// stopped tells a limiter without room, which ends the poll, from everything
// that means the request has to be handed over again.
func (p *poll) stopped(ctx context.Context, err error) (*result, error) {
	if ctx.Err() == nil && errors.Is(err, errNoRoom) {
		return p.failed(schemas.PollFailed, schemas.DeadAttempts, err.Error()), nil
	}
	return nil, err
}

func (p *poll) interrupted(err error) error {
	return fmt.Errorf("polling call %q for %s: %w", p.def.CallID, p.request.PollID, err)
}

func (p *poll) backoff(next int32) time.Duration {
	mean := time.Duration(p.def.Request.BackoffMicros) * time.Microsecond
	if mean <= 0 {
		mean = defaultBackoff
	}
	limit := time.Duration(p.def.Request.MaxBackoffMicros) * time.Microsecond
	if limit <= 0 {
		limit = defaultMaxBackoff
	}
	return backoff(next, mean, limit, p.cfg.Jitter)
}

// again reports whether another attempt may bring what this one did not. A
// status that says the request itself is wrong (401, 403, 404, a redirect …)
// stays: repeating it costs the account and risks a ban.
func again(a *schemas.PollAttempt) bool {
	switch a.Outcome {
	case schemas.AttemptRateLimited, schemas.AttemptTimeout, schemas.AttemptNetwork:
		return true
	case schemas.AttemptStatus:
		return a.Status >= 500 || a.Status == http.StatusRequestTimeout || a.Status == http.StatusTooEarly
	}
	return false
}

// host is what the limiter knows the server by; empty for a URL that cannot be
// called anyway.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

// micros is the instant as records carry it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
