//go:build !noembed && unix

package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// Broker is a Kafka-protocol broker inside this process, persistent, with
// transactions and consumer groups. It never creates a topic by itself.
type Broker struct {
	cfg     BrokerConfig
	dir     string
	addr    string
	cluster *kfake.Cluster
	log     *brokerLog
	undo    *undo

	closeOnce sync.Once
	closeErr  error

	mu    sync.Mutex
	space error // why there is too little room, nil when there is enough
}

// tenYears stands for never in settings that know no such word.
const tenYears = 10 * 365 * 24 * time.Hour

// StartBroker loads the log and begins to serve. Clients may connect from the
// moment it returns; before that it has compacted the compacted topics.
func StartBroker(ctx context.Context, cfg BrokerConfig) (*Broker, error) {
	cfg.setDefaults()
	b := &Broker{cfg: cfg, dir: filepath.Join(cfg.DataDir, "kafka"), log: newBrokerLog(cfg.Logger)}
	if err := makeDir(b.dir); err != nil {
		return nil, err
	}
	if _, err := b.checkSpace(); err != nil {
		return nil, err
	}
	if err := recoverLog(b.dir, cfg.Logger); err != nil {
		return nil, fmt.Errorf("recovering the broker's log in %q: %w", b.dir, err)
	}
	if err := keepEnds(b.dir); err != nil {
		return nil, err
	}
	openTxns := hasOpenTransactions(b.dir)
	inner, err := cfg.Addresses.Listen(ServiceKafka, cfg.Addr, kafkaPort)
	if err != nil {
		return nil, err
	}
	gate := newGatedListener(inner)
	b.addr = inner.Addr().String()
	b.cluster, err = kfake.NewCluster(b.options(lingeringListener{gate})...)
	if err != nil {
		return nil, fmt.Errorf("starting the broker on %q: %w", b.dir, err)
	}
	if b.undo, err = openUndo(b.dir); err != nil {
		b.cluster.Close()
		return nil, err
	}
	b.cluster.ControlKey(kmsg.EndTxn.Int16(), b.beforeCommit)
	b.cluster.ControlKey(kmsg.Fetch.Int16(), beforeFetch)
	// Compaction looks past the last stable offset: a key whose newer value
	// sits in a transaction that is aborted later would be lost. So it runs
	// here only, before any client, and not when a transaction is open.
	if !openTxns {
		b.cluster.Compact()
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	gate.open()
	return b, nil
}

func (b *Broker) options(l net.Listener) []kfake.Opt {
	// Java's admin client cannot read the answer to DescribeTopicPartitions
	// (a null list where it wants an empty one); without that request it
	// falls back to plain metadata.
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.DescribeTopicPartitions.Int16(), -1)
	// Nobody collects what clients would push.
	versions.SetMaxKeyVersion(kmsg.GetTelemetrySubscriptions.Int16(), -1)
	versions.SetMaxKeyVersion(kmsg.PushTelemetry.Int16(), -1)
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("pricelake"),
		kfake.DataDir(b.dir),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return l, nil }),
		kfake.WithLogger(b.log),
		kfake.MaxVersions(versions),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms":       fmt.Sprint(tenYears.Milliseconds()),
			"offsets.retention.minutes":    fmt.Sprint(int64(tenYears.Minutes())),
			"default.replication.factor":   "1",
			"group.min.session.timeout.ms": "1000",
		}),
	}
	if b.cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	return opts
}

// beforeCommit is called by the broker's loop before it acts on the end of a
// transaction, and leaves the acting to it.
func (b *Broker) beforeCommit(req kmsg.Request) (kmsg.Response, error, bool) {
	if err := b.undo.before(req); err != nil {
		b.log.fail(fmt.Sprintf("noting a commit: %v", err))
	}
	return nil, nil, false
}

// Addr is the host:port that clients bootstrap from.
func (b *Broker) Addr() string { return b.addr }

// ApplyRetention deletes what the topics' retention.ms and retention.bytes no
// longer keep.
func (b *Broker) ApplyRetention() {
	if err := b.noteEnds(); err != nil {
		b.log.fail(err.Error())
		return
	}
	b.cluster.ApplyRetention()
}

// Run applies retention on a timer and watches the disk until ctx ends; it
// returns nil then. It ends with an error when the broker could not write, or
// is about to be unable to: it would acknowledge offset commits and lose them,
// and only a restart would tell.
func (b *Broker) Run(ctx context.Context) error {
	retention := time.NewTicker(b.cfg.RetentionInterval)
	defer retention.Stop()
	space := time.NewTicker(b.cfg.HeadroomInterval)
	defer space.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.log.failed:
			return b.log.failure()
		case <-retention.C:
			b.ApplyRetention()
		case <-space.C:
			if err := b.watchSpace(); err != nil {
				return err
			}
		}
	}
}

// watchSpace keeps Ready up to date; the error says that the broker has to stop.
func (b *Broker) watchSpace() error {
	free, err := b.checkSpace()
	b.mu.Lock()
	changed := (err == nil) != (b.space == nil)
	b.space = err
	b.mu.Unlock()
	if changed && err != nil {
		b.cfg.Logger.Error("the broker's disk is nearly full", "error", err)
	}
	if err != nil && free < b.cfg.MinFree/stopFraction {
		return err
	}
	return nil
}

// Ready is nil when the broker can be relied on, and otherwise says in one
// sentence why not and what to do. It is as fresh as the last check of Run.
func (b *Broker) Ready() error {
	if err := b.log.failure(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.space
}

func (b *Broker) checkSpace() (free uint64, err error) {
	free, err = b.cfg.Headroom(b.dir)
	if err != nil {
		return 0, err
	}
	if free < b.cfg.MinFree {
		return free, fmt.Errorf("only %d MiB are free where %q lies, the broker needs %d MiB: free some space or move the data directory",
			free>>20, b.dir, b.cfg.MinFree>>20)
	}
	return free, nil
}

// Close writes everything to disk and ends the broker; a second call only
// repeats the first one's answer. The error says that something could not be
// written.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.cluster.Close()
		if b.closeErr = b.log.failure(); b.closeErr != nil {
			return // the next start has to treat this one as crashed
		}
		b.closeErr = b.undo.close()
	})
	return b.closeErr
}

// hasOpenTransactions reports whether the last clean stop left transactions
// open; the broker takes them up again. After a crash none is open.
func hasOpenTransactions(dir string) bool {
	var state struct {
		InProgressTxns []any `json:"inProgressTxns"`
	}
	found, err := readJSON(filepath.Join(dir, "session_state.json"), &state)
	return err != nil || (found && len(state.InProgressTxns) > 0)
}
