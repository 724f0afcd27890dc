package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// errUnknownCall says that no retained version of a call has the name and
// version asked for.
var errUnknownCall = errors.New("no such call version in " + schemas.TopicCalls)

// callsRefresh is how often a view looks for changes of the catalog.
const callsRefresh = time.Second

// decoder reads one record's value.
type decoder[T any] interface {
	Decode(ctx context.Context, wire []byte, v *T) error
}

// callView is this process' view of catalog.calls.v1: which version of every call
// is the current one, and the versions before it that answers may still name. It
// may be used in parallel.
type callView struct {
	reader topicReader
	decode decoder[schemas.CallDefined]
	slog   *slog.Logger
	now    func() time.Time

	mu       sync.RWMutex
	read     time.Time // when the last refresh that succeeded had begun
	versions map[callVersion]*heldCall
	current  []map[string]*schemas.CallDefined // by partition
	changed  chan struct{}                     // closed and replaced at every change
}

type callVersion struct{ id, version string }

// heldCall is one version of a call.
type heldCall struct {
	def *schemas.CallDefined
	// replaced is when another version, or none, became the current one; zero
	// while this one is.
	replaced time.Time
}

func newCallView(log stream.Log, decode decoder[schemas.CallDefined], logger *slog.Logger) *callView {
	return &callView{
		reader:   topicReader{open: func() (stream.Log, error) { return log, nil }, topic: schemas.TopicCalls},
		decode:   decode,
		slog:     logger,
		now:      time.Now,
		versions: map[callVersion]*heldCall{},
		changed:  make(chan struct{}),
	}
}

// run keeps the view fresh until ctx ends.
func (v *callView) run(ctx context.Context) error {
	follow(ctx, v.slog, "the catalog", callsRefresh, v.refresh)
	return nil
}

// refresh reads what was appended since the last refresh.
func (v *callView) refresh(ctx context.Context) error {
	began := v.now()
	err := v.reader.read(ctx, func(news appended) error {
		changes := make([]callChanged, 0, len(news.records))
		for i := range news.records {
			change, ok, err := v.decodeChange(ctx, &news.records[i])
			if err != nil {
				return err
			}
			if ok {
				changes = append(changes, change)
			}
		}
		v.apply(news, changes)
		return nil
	})
	if err == nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		if began.After(v.read) {
			v.read = began
		}
	}
	return err
}

// callChanged is a record of the catalog: the version of a call that is current
// from at on, nil when there is none.
type callChanged struct {
	id        string
	partition int32
	at        time.Time
	def       *schemas.CallDefined
}

// decodeChange reads a record; false when it cannot be read and is passed over.
func (v *callView) decodeChange(ctx context.Context, r *stream.Record) (change callChanged, ok bool, err error) {
	change = callChanged{id: string(r.Key), partition: r.Partition, at: r.Timestamp}
	if r.Value == nil {
		return change, true, nil
	}
	change.def = new(schemas.CallDefined)
	err = v.decode.Decode(ctx, r.Value, change.def)
	if errors.Is(err, avro.ErrBadRecord) {
		// One bad record must not stop every role: the call is as it was.
		v.slog.Error("definition of a call cannot be read and is passed over", "call_id", change.id, "partition", r.Partition, "offset", r.Offset, "err", err)
		return change, false, nil
	}
	if err != nil {
		return change, false, fmt.Errorf("decoding call %q at offset %d: %w", r.Key, r.Offset, err)
	}
	return change, true, nil
}

// apply makes changes visible, all at once.
func (v *callView) apply(news appended, changes []callChanged) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if news.whole {
		// The versions stay: answers that name them are of before.
		for _, held := range v.versions {
			if held.replaced.IsZero() {
				held.replaced = now
			}
		}
		v.current = make([]map[string]*schemas.CallDefined, news.partitions)
		for i := range v.current {
			v.current[i] = map[string]*schemas.CallDefined{}
		}
	}
	for _, c := range changes {
		if before := v.current[c.partition][c.id]; before != nil {
			v.versions[callVersion{before.CallID, before.Version}].replaced = c.at
		}
		if c.def == nil {
			delete(v.current[c.partition], c.id)
			continue
		}
		v.versions[callVersion{c.def.CallID, c.def.Version}] = &heldCall{def: c.def}
		v.current[c.partition][c.id] = c.def
	}
	// What no retained answer can name is forgotten.
	maps.DeleteFunc(v.versions, func(_ callVersion, held *heldCall) bool {
		return !held.replaced.IsZero() && now.Sub(held.replaced) > kafka.CallVersionsKept
	})
	close(v.changed)
	v.changed = make(chan struct{})
}

// Call returns a version of a call, errUnknownCall when no retained record
// defines it. The result is shared: do not change it.
func (v *callView) Call(ctx context.Context, id, version string) (*schemas.CallDefined, error) {
	if def := v.lookup(id, version); def != nil {
		return def, nil
	}
	// The catalog may have changed a moment ago: a request can overtake the
	// view, never the log.
	if err := v.refresh(ctx); err != nil {
		return nil, err
	}
	if def := v.lookup(id, version); def != nil {
		return def, nil
	}
	return nil, unknownCall(id, version)
}

// clocksApart is by how much the clocks of two processes may differ without a version
// being taken for unknown.
const clocksApart = time.Minute

// CallAsOf is Call for a version that, if there ever was one, was in the catalog at a
// time by the clock of another process: the catalog is not read again for one that a
// view of later does not have. A poller of another installation may name many.
func (v *callView) CallAsOf(ctx context.Context, id, version string, at time.Time) (*schemas.CallDefined, error) {
	v.mu.RLock()
	seen := v.read.Sub(at) > clocksApart
	v.mu.RUnlock()
	if !seen {
		return v.Call(ctx, id, version)
	}
	if def := v.lookup(id, version); def != nil {
		return def, nil
	}
	return nil, unknownCall(id, version)
}

func unknownCall(id, version string) error {
	return fmt.Errorf("call %q version %q: %w", id, version, errUnknownCall)
}

func (v *callView) lookup(id, version string) *schemas.CallDefined {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if held := v.versions[callVersion{id, version}]; held != nil {
		return held.def
	}
	return nil
}

// shard returns the current calls of one partition in order of their ids, and a
// channel that closes at the next change of any.
func (v *callView) shard(p int32) ([]schemas.CallDefined, <-chan struct{}) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if int(p) >= len(v.current) {
		return nil, v.changed
	}
	calls := make([]schemas.CallDefined, 0, len(v.current[p]))
	for _, id := range slices.Sorted(maps.Keys(v.current[p])) {
		calls = append(calls, *v.current[p][id])
	}
	return calls, v.changed
}
