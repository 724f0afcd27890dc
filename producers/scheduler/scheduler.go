package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// ErrFenced is what a Publisher's error wraps when another scheduler has taken
// over the shard. It ends Run.
var ErrFenced = errors.New("another scheduler has taken over this shard")

// Publisher writes all records in one transaction, or none of them, under a
// transactional id that belongs to the shard. A newer owner of that id fences
// this one: the error then wraps ErrFenced. Any other error means that nothing
// was written or that the outcome is unknown. Called from one goroutine.
type Publisher interface {
	Publish(ctx context.Context, rs ...stream.Record) error
}

// Encoder appends the wire form of a record to dst. It may be used in parallel.
type Encoder[T any] interface {
	Append(dst []byte, v *T) ([]byte, error)
}

// Gate says whether anything may be asked for. It may be used in parallel.
type Gate interface {
	// Paused reports whether nothing may be asked for, and returns a channel
	// that closes when that may have changed.
	Paused() (paused bool, changed <-chan struct{})
}

// Config is what a scheduler is made of. Every field without a default named
// here is needed.
type Config struct {
	// Calls returns the calls of the shard and a channel that closes when they
	// have changed. Both belong to the caller of it, and are not changed later.
	Calls func() (calls []schemas.CallDefined, changed <-chan struct{})
	// LastSlots reads the last slot asked for of every call of the shard, by
	// call id. It is called when Run starts and after every transaction whose
	// outcome is unknown; the caller has seen to it that the transactional id
	// has been taken before it reads, so that no older owner can add to it.
	LastSlots func(ctx context.Context) (map[string]schemas.SlotScheduled, error)
	Publisher Publisher
	// Gate pauses the scheduler. Slots that pass meanwhile are those of a
	// scheduler that was away: counted as missed, and the latest of them is
	// asked for by calls that catch up. Never paused when nil.
	Gate      Gate
	Requests  Encoder[schemas.PollRequested]
	Schedules Encoder[schemas.SlotScheduled]
	Metrics   *Metrics
	Log       *slog.Logger
	// Now is the wall clock. It only names slots: waiting is done by timers.
	Now func() time.Time
	// Recheck bounds how long a jump of the wall clock goes unseen; a second
	// when zero.
	Recheck time.Duration
}

// Scheduler asks for the due slots of one shard of the catalog.
//
// Every slot is asked for at most once: request and watermark are in one
// transaction, the owner of a shard is fenced by its transactional id, and the
// poll id is a function of call and slot. A slot that was not asked for within a
// minute is missed: it is counted in the next SlotScheduled of the call and, for
// calls that catch up, the latest of them is asked for once.
type Scheduler struct {
	cfg  Config
	plan *plan
	// wall and ticks are the clocks as last seen, to notice jumps.
	wall, ticks time.Time
}

// New returns a scheduler; Run starts it.
func New(cfg Config) *Scheduler {
	if cfg.Recheck <= 0 {
		cfg.Recheck = time.Second
	}
	return &Scheduler{cfg: cfg, plan: newPlan()}
}

// batchLimit bounds the requests of one transaction.
const batchLimit = 500

// Run schedules until ctx ends, then returns nil. An error means that the shard
// cannot be scheduled by this process: another owner took over, or the last
// slots cannot be read at the start. It may be called once.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.readLastSlots(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { s.cfg.Metrics.calls.Sub(float64(len(s.plan.calls))) }()
	for ctx.Err() == nil {
		paused, switched := s.paused()
		if paused {
			s.forget()
			select {
			case <-ctx.Done():
			case <-switched:
			}
			continue
		}
		changed := s.update()
		if err := s.work(ctx, changed, switched); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scheduler) paused() (bool, <-chan struct{}) {
	if s.cfg.Gate == nil {
		return false, nil
	}
	return s.cfg.Gate.Paused()
}

// forget empties the plan but for the watermarks, as a new process would find it.
func (s *Scheduler) forget() {
	s.cfg.Metrics.calls.Sub(float64(len(s.plan.calls)))
	last := s.plan.last
	s.plan = newPlan()
	s.plan.last = last
}

// update takes over the calls as they are now.
func (s *Scheduler) update() (changed <-chan struct{}) {
	calls, changed := s.cfg.Calls()
	before := len(s.plan.calls)
	for _, err := range s.plan.update(s.now(), calls) {
		s.cfg.Log.Error("call not scheduled; apply a catalog with a usable schedule", "err", err)
	}
	s.cfg.Metrics.calls.Add(float64(len(s.plan.calls) - before))
	return changed
}

// work asks for due slots until ctx ends, or the calls or the gate change.
func (s *Scheduler) work(ctx context.Context, changed, switched <-chan struct{}) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			return nil
		case <-switched:
			return nil
		case <-timer.C:
		}
		now := s.now()
		if asks := s.plan.due(now, batchLimit); len(asks) > 0 {
			if err := s.ask(ctx, now, asks); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			now = s.now()
		}
		wait := s.cfg.Recheck
		if at, ok := s.plan.wake(); ok {
			wait = min(wait, max(0, at.Sub(now)))
		}
		timer.Reset(wait)
	}
}

// now returns the wall clock's time without its monotonic reading, and notices
// when the two have parted.
func (s *Scheduler) now() time.Time {
	wall, ticks := s.cfg.Now().Round(0), time.Now()
	if !s.wall.IsZero() {
		jump := wall.Sub(s.wall) - ticks.Sub(s.ticks)
		if jump.Abs() > time.Second {
			s.cfg.Metrics.clockJumps.Inc()
			s.cfg.Log.Warn("the wall clock jumped; slots already asked for are not asked for again", "by", jump)
		}
	}
	s.wall, s.ticks = wall, ticks
	return wall
}

// ask publishes the asks in one transaction, again and again until it is known
// to have happened. A transaction whose outcome is unknown may have happened:
// the watermarks are read again first, and what they cover is not repeated.
func (s *Scheduler) ask(ctx context.Context, now time.Time, asks []ask) error {
	records, err := s.records(now, asks)
	if err != nil {
		return err
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := s.cfg.Publisher.Publish(ctx, records...)
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, ErrFenced) {
			return fmt.Errorf("asking for %d slots: %w", len(asks), err)
		}
		s.cfg.Metrics.publishErrors.Inc()
		s.cfg.Log.Warn("slots not asked for, trying again", "slots", len(asks), "err", err)
		if err := s.settle(ctx, pause); err != nil {
			return err
		}
		if asks = s.pending(asks); len(asks) == 0 {
			return nil
		}
		if records, err = s.records(now, asks); err != nil {
			return err
		}
	}
	for _, a := range asks {
		s.finish(a)
	}
	return nil
}

// settle pauses and reads the watermarks until that succeeds or ctx ends.
func (s *Scheduler) settle(ctx context.Context, pause time.Duration) error {
	for {
		if err := sleep(ctx, pause/2+rand.N(pause)); err != nil {
			return err
		}
		err := s.readLastSlots(ctx)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrFenced) {
			return err
		}
		s.cfg.Log.Warn("last slots not read, trying again", "err", err)
		pause = min(2*pause, 5*time.Second)
	}
}

// pending finishes those asks that are in the log after all and returns the
// others.
func (s *Scheduler) pending(asks []ask) []ask {
	var rest []ask
	for _, a := range asks {
		if last, ok := s.plan.last[a.call.def.CallID]; ok && !a.slot.After(last) {
			s.finish(a)
		} else {
			rest = append(rest, a)
		}
	}
	return rest
}

// finish accounts for an ask that is in the log.
func (s *Scheduler) finish(a ask) {
	def := &a.call.def
	s.cfg.Metrics.requests.WithLabelValues(def.Provider).Inc()
	s.cfg.Metrics.lateness.Observe(max(0, s.cfg.Now().Sub(a.slot)).Seconds())
	if a.missed > 0 {
		s.cfg.Metrics.missed.WithLabelValues(def.Provider).Add(float64(a.missed))
		s.cfg.Log.Warn("slots missed", "call_id", def.CallID, "missed", a.missed, "slot", a.slot)
	}
	s.plan.done(a)
}

func (s *Scheduler) readLastSlots(ctx context.Context) error {
	last, err := s.cfg.LastSlots(ctx)
	if err != nil {
		return fmt.Errorf("reading the last slots from %q: %w", schemas.TopicSchedules, err)
	}
	for id, slot := range last {
		s.plan.advance(id, slot.Slot)
	}
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
