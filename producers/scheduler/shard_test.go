package scheduler

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// asked is one committed pair of request and slot.
type asked struct {
	request schemas.PollRequested
	slot    schemas.SlotScheduled
	at      time.Time // of the commit
}

// shard stands for the transactional log of one shard: what is committed, who
// holds the transactional id, and what goes wrong.
type shard struct {
	mu       sync.Mutex
	requests codec[schemas.PollRequested]
	slots    codec[schemas.SlotScheduled]
	epoch    int
	asks     []asked
	last     map[string]schemas.SlotScheduled
	records  []stream.Record // of the last transaction
	// fault, when set, is asked before each transaction: failed says that its
	// Publish returns an error, written whether it happened all the same.
	fault func() (failed, written bool)
	// seen, when set, gets the asks, where they are too many to keep.
	seen func(asked)

	calls   []schemas.CallDefined
	changed chan struct{}
}

func newShard(calls ...schemas.CallDefined) *shard {
	return &shard{last: map[string]schemas.SlotScheduled{}, calls: calls, changed: make(chan struct{})}
}

// codec hands values through as numbers.
type codec[T any] struct {
	mu     sync.Mutex
	values map[uint64]T
	n      uint64
}

func (c *codec[T]) Append(dst []byte, v *T) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[uint64]T{}
	}
	c.n++
	c.values[c.n] = *v
	return binary.BigEndian.AppendUint64(dst, c.n), nil
}

func (c *codec[T]) take(value []byte) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := binary.BigEndian.Uint64(value)
	v := c.values[n]
	delete(c.values, n)
	return v
}

// holder is a publisher that took the transactional id at its making.
type holder struct {
	*shard
	epoch int
}

func (s *shard) open() *holder {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return &holder{s, s.epoch}
}

var errBroker = errors.New("the broker said no")

func (h *holder) Publish(ctx context.Context, rs ...stream.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.epoch != h.shard.epoch {
		return errors.Join(ErrFenced, errBroker)
	}
	if h.fault != nil {
		if failed, written := h.fault(); failed {
			if written {
				h.commit(rs)
			}
			return errBroker
		}
	}
	h.commit(rs)
	return nil
}

func (s *shard) commit(rs []stream.Record) {
	s.records = rs
	for i := 0; i < len(rs); i += 2 {
		a := asked{request: s.requests.take(rs[i].Value), slot: s.slots.take(rs[i+1].Value), at: time.Now()}
		s.last[a.slot.CallID] = a.slot
		if s.seen != nil {
			s.seen(a)
		} else {
			s.asks = append(s.asks, a)
		}
	}
}

func (s *shard) lastSlots(context.Context) (map[string]schemas.SlotScheduled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := make(map[string]schemas.SlotScheduled, len(s.last))
	for id, slot := range s.last {
		last[id] = slot
	}
	return last, nil
}

func (s *shard) snapshot() ([]schemas.CallDefined, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls, s.changed
}

func (s *shard) apply(calls ...schemas.CallDefined) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = calls
	close(s.changed)
	s.changed = make(chan struct{})
}

// of returns the slots asked for of one call.
func (s *shard) of(callID string) []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	var as []asked
	for _, a := range s.asks {
		if a.slot.CallID == callID {
			as = append(as, a)
		}
	}
	return as
}

func (s *shard) config() Config {
	return Config{
		Calls:     s.snapshot,
		LastSlots: s.lastSlots,
		Publisher: s.open(),
		Requests:  &s.requests,
		Schedules: &s.slots,
		Metrics:   NewMetrics(prometheus.NewRegistry()),
		Log:       slog.New(slog.DiscardHandler),
		Now:       time.Now,
	}
}

// start runs a scheduler over the shard until stop, which returns what Run did.
func start(t *testing.T, cfg Config) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(cfg).Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return stop
}

func every(id string, d time.Duration) schemas.CallDefined {
	h := fnv.New64a()
	h.Write([]byte(id))
	return schemas.CallDefined{
		CallID: id, Version: "v1", Provider: "provider-" + id[:1], Account: "account-" + id[:1], Enabled: true,
		Schedule: schemas.CallSchedule{
			EveryMicros: d.Microseconds(), PhaseMicros: int64(h.Sum64() % uint64(d.Microseconds())), Catchup: schemas.CatchupNone,
		},
	}
}

func cronCall(id, expression, zone string) schemas.CallDefined {
	c := every(id, time.Second)
	c.Schedule = schemas.CallSchedule{Cron: expression, Zone: zone, Catchup: schemas.CatchupNone}
	return c
}

func catchingUp(c schemas.CallDefined) schemas.CallDefined {
	c.Schedule.Catchup = schemas.CatchupLatest
	return c
}
