package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
)

// pollerTxn is how the transactional ids of pollers begin.
const pollerTxn = "pricelake-poller-"

// runPoller makes the HTTP calls that polls.requested.v1 asks for.
func (a *App) runPoller(ctx context.Context) error {
	calls, err := a.openCalls(ctx)
	if err != nil {
		return a.stopped(ctx, err)
	}
	requests, err := codec[schemas.PollRequested](ctx, a, schemas.TopicRequests)
	if err != nil {
		return a.stopped(ctx, err)
	}
	responses, err := codec[schemas.ResponseReceived](ctx, a, schemas.TopicResponses)
	if err != nil {
		return a.stopped(ctx, err)
	}
	polls, err := codec[schemas.PollFinished](ctx, a, schemas.TopicPolls)
	if err != nil {
		return a.stopped(ctx, err)
	}
	dead, err := codec[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters)
	if err != nil {
		return a.stopped(ctx, err)
	}
	gate, err := a.gate(ctx, "poller")
	if err != nil {
		return a.stopped(ctx, err)
	}
	client := newHTTPClient(a.settings)
	defer client.Close()
	p := poller.New(poller.Config{
		Client:         client,
		Calls:          pollerCalls{calls},
		Reader:         newMappings(),
		Limiter:        poller.NewLimits(accountPerSecond, accountBurst, perHost),
		Requests:       finalDecoder[schemas.PollRequested]{requests, wrapping(poller.ErrUndecodable), new(strays)},
		Responses:      responses,
		Polls:          polls,
		DeadLetters:    dead,
		Metrics:        poller.NewMetrics(a.metrics),
		MaxRecordBytes: kafka.MaxRecordBytes,
		Log:            a.log.With("part", "poller"),
		Failpoints:     a.settings.Failpoints,
		Now:            time.Now,
	})
	window := kafka.Window{Config: a.kafkaConfig("poller"), Group: "pricelake.poller", Topic: schemas.TopicRequests,
		TransactionalID: pollerTxn + a.settings.Config.Instance,
		Family:          pollerTxn,
		Outputs:         []string{schemas.TopicResponses, schemas.TopicPolls, schemas.TopicDeadLetters},
		InFlight:        a.settings.Config.Poller.InFlight, Gate: gate}
	a.working("poller")
	return both(ctx, calls.run, func(ctx context.Context) error { return window.Run(ctx, p.Handle) })
}

// What one account and one host see of this process at most, whatever the
// catalog says: no keyless API takes more.
const (
	accountPerSecond = 10
	accountBurst     = 20
	perHost          = 16
)

// newHTTPClient makes the guarded client of the poller and of `catalog try`.
func newHTTPClient(s Settings) *poller.Client {
	return poller.NewClient(poller.ClientConfig{
		Secrets:      poller.Secrets{Env: lookup(s.Getenv), ReadFile: os.ReadFile},
		AllowPrivate: s.Config.Poller.AllowPrivate,
		Now:          time.Now,
	})
}

// LoopbackHosts are the ways to write this machine's own address. A catalog that
// does so means it; a name that merely resolves to it is refused.
func LoopbackHosts() []string { return []string{"127.0.0.1", "localhost", "::1"} }

// lookup makes an environment look-up of a getenv: an empty variable is none.
func lookup(getenv func(string) string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v := getenv(name)
		return v, v != ""
	}
}

// pollerCalls tells the poller in its own words that a call is unknown.
type pollerCalls struct{ view *callView }

func (c pollerCalls) Call(ctx context.Context, id, version string) (*schemas.CallDefined, error) {
	def, err := c.view.Call(ctx, id, version)
	if errors.Is(err, errUnknownCall) {
		return nil, fmt.Errorf("%w: %w", poller.ErrUnknownCall, err)
	}
	return def, err
}
