package poller

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/pricelake/pricelake/schemas"
)

var errAway = errors.New("the registry is away")

// failing stands for parts that are away.
type failing struct{}

func (failing) Decode(context.Context, []byte, *schemas.PollRequested) error { return errAway }

func (failing) Call(context.Context, string, string) (*schemas.CallDefined, error) {
	return nil, errAway
}

func TestAttemptInFlightFinishesWhileDraining(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		stop()
		time.Sleep(100 * time.Millisecond)
		_, _ = w.Write([]byte("BTC ETH"))
	})
	records, err := r.handle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, records).outcome(); got != "valued 2/2/0/0: ok" {
		t.Error(got)
	}
}

func TestAttemptThatOutlastsTheDrainIsHandedBack(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, func(_ http.ResponseWriter, req *http.Request) {
		stop()
		<-req.Context().Done()
	})
	r.cfg.Drain = 50 * time.Millisecond
	begun := time.Now()
	records, err := r.handle(ctx)
	if !errors.Is(err, context.Canceled) || records != nil {
		t.Errorf("Handle = %v, %v, want the context's error and nothing to publish", records, err)
	}
	if took := time.Since(begun); took >= 5*time.Second { // the attempt's own time limit
		t.Errorf("Handle took %v to give up", took)
	}
	if n := r.counter("pricelake_polls_total"); n != 0 {
		t.Errorf("%v polls counted", n)
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	r.cfg.Sleep = func(ctx context.Context, d time.Duration) error {
		time.AfterFunc(20*time.Millisecond, stop)
		return sleep(ctx, d)
	}
	if records, err := r.handle(ctx); !errors.Is(err, context.Canceled) || records != nil {
		t.Errorf("Handle = %v, %v, want the context's error", records, err)
	}
}

func TestLastFailureWhileDrainingIsFinal(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, inTurn(status(500, ""), func(w http.ResponseWriter, _ *http.Request) {
		stop()
		w.WriteHeader(http.StatusInternalServerError)
	}))
	r.def.Request.MaxAttempts = 2
	records, err := r.handle(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, records).outcome(); got != "failed 2/0/0/2: status status dead:attempts" {
		t.Error(got)
	}
}

func TestLimiterWithoutRoomFailsThePoll(t *testing.T) {
	r := newRig(t, status(200, "BTC ETH"))
	limits := NewLimits(1, 1, 1)
	limits.rate = rate.Every(time.Hour)
	r.cfg.Limiter, r.cfg.Budget = limits, time.Minute
	p := r.poller()
	if _, err := p.Handle(t.Context(), r.record); err != nil {
		t.Fatal(err)
	}
	result, err := p.Handle(t.Context(), r.record)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, result.Records).outcome(); got != "failed 2/0/0/2: dead:attempts" || r.hits != 1 {
		t.Errorf("%s after %d requests", got, r.hits)
	}
}

func TestLimits(t *testing.T) {
	l := NewLimits(20, 1, 2)
	begun := time.Now()
	for range 3 {
		release, err := l.Acquire(t.Context(), "a", "host")
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if took := time.Since(begun); took < 95*time.Millisecond {
		t.Errorf("3 attempts at 20 a second took %v", took)
	}
	l = NewLimits(0, 0, 2)
	one, err1 := l.Acquire(t.Context(), "a", "host")
	two, err2 := l.Acquire(t.Context(), "b", "host")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Acquire(ctx, "c", "host"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third attempt at a host with two places: %v", err)
	}
	if other, err := l.Acquire(t.Context(), "c", "other"); err != nil {
		t.Error(err)
	} else {
		other()
	}
	one()
	if three, err := l.Acquire(t.Context(), "c", "host"); err != nil {
		t.Error(err)
	} else {
		three()
	}
	two()
	if len(l.hosts) != 0 {
		t.Errorf("%d hosts remembered without attempts", len(l.hosts))
	}
}
