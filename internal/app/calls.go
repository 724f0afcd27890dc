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

// callView is this process' view of catalog.calls.v1: every retained version of
// every call, and which version is the current one. Answers name the version
// that asked for them, so old versions stay; the topic's compaction lag is what
// bounds them. It may be used in parallel.
type callView struct {
	log    stream.Log
	decode decoder[schemas.CallDefined]
	slog   *slog.Logger

	refreshing sync.Mutex // one reader of the log at a time
	next       []int64    // by partition, guarded by refreshing

	mu       sync.RWMutex
	versions map[callVersion]*schemas.CallDefined
	current  []map[string]*schemas.CallDefined // by partition
	changed  chan struct{}                     // closed and replaced at every change
}

type callVersion struct{ id, version string }

func newCallView(log stream.Log, decode decoder[schemas.CallDefined], logger *slog.Logger) *callView {
	return &callView{
		log:      log,
		decode:   decode,
		slog:     logger,
		versions: map[callVersion]*schemas.CallDefined{},
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
	v.refreshing.Lock()
	defer v.refreshing.Unlock()
	if v.next == nil {
		_, partitions, err := v.log.Describe(ctx, schemas.TopicCalls)
		if err != nil {
			return fmt.Errorf("describing %q: %w", schemas.TopicCalls, err)
		}
		v.next = make([]int64, partitions)
		v.mu.Lock()
		v.current = make([]map[string]*schemas.CallDefined, partitions)
		for i := range v.current {
			v.current[i] = map[string]*schemas.CallDefined{}
		}
		v.mu.Unlock()
	}
	for p := range v.next {
		if err := v.refreshPartition(ctx, int32(p)); err != nil {
			return err
		}
	}
	return nil
}

func (v *callView) refreshPartition(ctx context.Context, p int32) error {
	tp := stream.TopicPartition{Topic: schemas.TopicCalls, Partition: p}
	_, end, err := v.log.Bounds(ctx, tp)
	if err != nil {
		return fmt.Errorf("reading the end of %s[%d]: %w", tp.Topic, p, err)
	}
	if end <= v.next[p] {
		return nil
	}
	next, err := v.log.ReadCommitted(ctx, tp, v.next[p], func(r stream.Record) error {
		return v.apply(ctx, r)
	})
	if err != nil {
		return fmt.Errorf("reading %s[%d]: %w", tp.Topic, p, err)
	}
	v.next[p] = next
	v.mu.Lock()
	close(v.changed)
	v.changed = make(chan struct{})
	v.mu.Unlock()
	return nil
}

func (v *callView) apply(ctx context.Context, r stream.Record) error {
	id := string(r.Key)
	if r.Value == nil {
		v.mu.Lock()
		delete(v.current[r.Partition], id)
		v.mu.Unlock()
		return nil
	}
	def := new(schemas.CallDefined)
	err := v.decode.Decode(ctx, r.Value, def)
	if errors.Is(err, avro.ErrBadRecord) {
		// One bad record must not stop every role: the call is as it was.
		v.slog.Error("definition of a call cannot be read and is passed over", "call_id", id, "partition", r.Partition, "offset", r.Offset, "err", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("decoding call %q at offset %d: %w", id, r.Offset, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.versions[callVersion{def.CallID, def.Version}] = def
	v.current[r.Partition][id] = def
	return nil
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
	return nil, fmt.Errorf("call %q version %q: %w", id, version, errUnknownCall)
}

func (v *callView) lookup(id, version string) *schemas.CallDefined {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.versions[callVersion{id, version}]
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
