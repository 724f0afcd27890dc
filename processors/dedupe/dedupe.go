package dedupe

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// Role is the name of the role in metrics, logs and dead letters.
const Role = "deduplicator"

const (
	// DefaultCacheBytes is the memory that blocks, filters and memtables of all
	// partitions of a process share: memtables of a few busy partitions and the
	// filters of 20 million ids.
	DefaultCacheBytes = 64 << 20
	// seenBytes is the memory of the filters over the ids of all partitions: 16
	// million at least. More are looked for in the store.
	seenBytes = 32 << 20
	// minFreeBytes is what the state's disk must have free before a batch is
	// taken on: a store that runs out of disk in the middle of a write can only
	// be given up.
	minFreeBytes = 64 << 20
)

// Config is what a Deduplicator needs. Every field is needed but Lake,
// CacheBytes and Failpoints.
type Config struct {
	// Dir holds one store for each partition. It belongs to one process at a
	// time and must outlive it; on another disk the state is restored from the
	// lake and from what prices.v1 still holds.
	Dir string
	// Log reads prices.v1.
	Log stream.Log
	// Lake holds what prices.v1 no longer does; nil: nothing does.
	Lake Lake
	// Decoder and Encoder read and write prices.
	Decoder processors.Decoder[schemas.Price]
	Encoder processors.Encoder[schemas.Price]
	// DeadLetters writes dead letters.
	DeadLetters processors.Encoder[schemas.DeadLetter]
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	// Now is the clock of the duration metric and of lines that tell how far a
	// restore is, and of nothing else.
	Now func() time.Time
	// CacheBytes is the memory that the stores share; 0 is DefaultCacheBytes.
	CacheBytes int64
	// Failpoints are where the kill test ends this process; nil: nowhere.
	Failpoints *failpoint.Set
}

// Deduplicator opens the stage of each assigned partition. It may be used in
// parallel.
type Deduplicator struct {
	config  Config
	dead    *processors.DeadLetters
	metrics *metrics
	fs      vfs.FS
	memory  memory

	mu   sync.Mutex
	open map[*state]struct{}
}

// New returns a Deduplicator. It opens nothing yet; Close gives its memory
// back.
func New(c Config) *Deduplicator {
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	d := &Deduplicator{
		config: c,
		dead:   &processors.DeadLetters{Role: Role, Encoder: c.DeadLetters},
		fs:     vfs.Default,
		memory: memory{cache: pebble.NewCache(c.CacheBytes), seen: newAllowance(seenBytes)},
		open:   map[*state]struct{}{},
	}
	d.metrics = newMetrics(c.Registerer, d.stateBytes)
	return d
}

// Close frees what the stages share, after all of them were closed.
func (d *Deduplicator) Close() { d.memory.cache.Unref() }

// Open is the stream.OpenStage of the deduplicator: it opens the partition's
// state, restores what it lacks from the lake and applies what the output
// partition's log holds beyond it. An error that wraps ErrRecreated stays until
// somebody decides; others are worth another try.
func (d *Deduplicator) Open(ctx context.Context, in stream.TopicPartition) (stream.Stage, error) {
	if err := d.config.Failpoints.Hit(failpoint.DedupeAssigned); err != nil {
		return nil, err
	}
	out := stream.TopicPartition{Topic: schemas.TopicPrices, Partition: in.Partition}
	id, partitions, err := d.config.Log.Describe(ctx, out.Topic)
	if err != nil {
		return nil, fmt.Errorf("describing topic %q: %w", out.Topic, err)
	}
	if in.Partition >= partitions {
		return nil, fmt.Errorf("topic %q has %d partitions and none for partition %d of %q: create both with the same number (pricelake topics apply)",
			out.Topic, partitions, in.Partition, in.Topic)
	}
	dir := d.storeDir(out, id)
	if err := d.checkPredecessor(out, id); err != nil {
		return nil, err
	}
	log := d.config.Logger.With("topic", out.Topic, "partition", out.Partition)
	s, err := d.openState(dir, id, log)
	if err != nil {
		return nil, fmt.Errorf("opening the deduplicator's state in %q: %w", dir, err)
	}
	d.track(s, true)
	p := &partition{d: d, out: out, dir: dir, state: s, known: map[schemas.ID]int{}}
	c := catchUp{d: d, state: s, out: out, log: log}
	if err := c.run(ctx); err != nil {
		_ = p.Close() // the first error counts; the next opening tells of a second
		return nil, fmt.Errorf("bringing the state of %s[%d] up to date: %w", out.Topic, out.Partition, err)
	}
	return p, nil
}

// storeDir is where the state of a partition is kept: another topic of the same
// name has another id, so its state is another.
func (d *Deduplicator) storeDir(out stream.TopicPartition, id stream.TopicID) string {
	return filepath.Join(d.config.Dir, storePrefix(out)+schemas.ID(id).String())
}

func storePrefix(out stream.TopicPartition) string {
	return fmt.Sprintf("%s-%d-", out.Topic, out.Partition)
}

func (d *Deduplicator) track(s *state, open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if open {
		d.open[s] = struct{}{}
	} else {
		delete(d.open, s)
	}
}

func (d *Deduplicator) stateBytes() float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var total uint64
	for s := range d.open {
		total += s.bytes()
	}
	return float64(total)
}
