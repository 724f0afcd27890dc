package poller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

var (
	// ErrUnknownCall is what Calls wraps when the catalog does not have the
	// version of the call that a request names.
	ErrUnknownCall = errors.New("the call is not in the catalog")
	// ErrUndecodable is what a Decoder wraps when no repetition can make the
	// bytes readable.
	ErrUndecodable = errors.New("the record cannot be read")
)

// HeaderReplayOf marks a request that was taken out of the dead letters. Its
// value, a UUID, makes the poll another one than the one that failed, the same
// for the same UUID.
const HeaderReplayOf = "pricelake-replay-of"

// Decoder reads the value of a request. It may be used in parallel. An error
// that wraps ErrUndecodable is final; any other means try again.
type Decoder interface {
	Decode(ctx context.Context, wire []byte, v *schemas.PollRequested) error
}

// Encoder appends the wire form of a record to dst. It may be used in parallel.
type Encoder[T any] interface {
	Append(dst []byte, v *T) ([]byte, error)
}

// Calls knows the catalog. It may be used in parallel. An error that wraps
// ErrUnknownCall is final; any other means try again. The call belongs to
// Calls and is not changed by either side.
type Calls interface {
	Call(ctx context.Context, callID, version string) (*schemas.CallDefined, error)
}

// Reader reads an answer with status 2xx by the call's mapping. It is pure, may
// be used in parallel, and changes neither argument.
type Reader interface {
	Read(def *schemas.CallDefined, answer *schemas.ResponseReceived) schemas.Reading
}

// Config is what a poller is made of. Every field without a default named here
// is needed.
type Config struct {
	Client *Client
	Calls  Calls
	Reader Reader
	// Limiter spaces the attempts; no limit when nil.
	Limiter Limiter

	Requests    Decoder
	Responses   Encoder[schemas.ResponseReceived]
	Polls       Encoder[schemas.PollFinished]
	DeadLetters Encoder[schemas.DeadLetter]

	// MaxRecordBytes is the largest record, key and value and headers, that a
	// topic takes; every record Handle returns stays within it. When nil, eight
	// MiB for answers, nine for dead letters and one for outcomes, less what a
	// batch adds.
	MaxRecordBytes func(topic string) int

	Metrics *Metrics
	Log     *slog.Logger
	// Failpoints are where the kill test ends this process; nil: nowhere.
	Failpoints *failpoint.Set

	// Budget is how long a poll may take from its start on, pauses included;
	// five minutes when zero, and never less than the call's timeout. An
	// attempt that could only start after it is not made.
	Budget time.Duration
	// Drain is how long an attempt in flight may go on after the context of
	// Handle has ended; three seconds when zero.
	Drain time.Duration
	// Now is the clock, time.Now when nil. Sleep pauses, and returns ctx's error
	// when that ends first; a timer when nil. Jitter returns a random number in
	// [0, n); that of math/rand/v2 when nil.
	Now    func() time.Time
	Sleep  func(ctx context.Context, d time.Duration) error
	Jitter func(n int64) int64
}

// Poller performs polls. It keeps nothing between them but connections. It may
// be used in parallel.
type Poller struct {
	cfg Config
}

// New returns a poller. It starts nothing.
func New(cfg Config) *Poller {
	if cfg.Limiter == nil {
		cfg.Limiter = NewLimits(0, 0, 0)
	}
	if cfg.MaxRecordBytes == nil {
		cfg.MaxRecordBytes = defaultMaxRecordBytes
	}
	if cfg.Budget <= 0 {
		cfg.Budget = 5 * time.Minute
	}
	if cfg.Drain <= 0 {
		cfg.Drain = 3 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Jitter == nil {
		cfg.Jitter = rand.Int64N
	}
	return &Poller{cfg: cfg}
}

// Handle performs the poll that a record of polls.requested.v1 asks for and
// returns what is to be published for it: the answers in order of the attempts,
// the outcome, and a dead letter when the poll brought no usable answer. The poll
// is counted when that is committed, so that one counts once. It is a
// stream.WindowHandler. An outcome that cannot be made to fit its topic is left
// out, and the request goes to the dead letters instead.
//
// An error means that nothing is to be published and the record is to be handed
// over again. When ctx ends, an attempt in flight may still finish within the
// drain time; if that settles the poll it is returned as usual, otherwise Handle
// returns ctx's error.
func (p *Poller) Handle(ctx context.Context, r stream.Record) (stream.Result, error) {
	var request schemas.PollRequested
	if err := p.cfg.Requests.Decode(ctx, r.Value, &request); err != nil {
		if errors.Is(err, ErrUndecodable) {
			return p.discard(&r, nil, schemas.DeadDecode, err)
		}
		return stream.Result{}, fmt.Errorf("decoding the request %s: %w", origin(&r), err)
	}
	if err := replayed(&r, &request); err != nil {
		return p.discard(&r, &request, schemas.DeadInvalid, err)
	}
	def, err := p.cfg.Calls.Call(ctx, request.CallID, request.CallVersion)
	switch {
	case errors.Is(err, ErrUnknownCall):
		return p.publish(&r, p.unknown(&request, err))
	case err != nil:
		return stream.Result{}, fmt.Errorf("looking up call %q version %q: %w", request.CallID, request.CallVersion, err)
	}
	done := p.cfg.Metrics.started(def.Provider)
	defer done()
	result, err := p.perform(ctx, &request, def)
	if err != nil {
		return stream.Result{}, err
	}
	return p.publish(&r, result)
}

// replayed gives a request from the dead letters a poll id of its own.
func replayed(r *stream.Record, request *schemas.PollRequested) error {
	value := r.Header(HeaderReplayOf)
	if value == nil {
		return nil
	}
	of, err := schemas.ParseID(string(value))
	if err != nil {
		return fmt.Errorf("reading header %q: %w", HeaderReplayOf, err)
	}
	request.PollID = schemas.DeriveID("replay", request.PollID.String(), of.String())
	request.Origin = schemas.OriginReplay
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
