//go:build !noembed && unix

package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
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

	mu    sync.Mutex
	space error // why there is too little room, nil when there is enough
}

// tenYears stands for never in settings that know no such word.
const tenYears = 10 * 365 * 24 * time.Hour

// StartBroker loads the log and begins to serve. Clients may connect from the
// moment it returns; before that it has compacted the compacted topics.
func StartBroker(ctx context.Context, cfg BrokerConfig) (*Broker, error) {
	cfg.setDefaults()
	b := &Broker{cfg: cfg, dir: filepath.Join(cfg.DataDir, "kafka"), log: &brokerLog{logger: cfg.Logger}}
	if err := makeDir(b.dir); err != nil {
		return nil, err
	}
	if err := b.checkSpace(); err != nil {
		return nil, err
	}
	inner, err := cfg.Addresses.Listen(ServiceKafka, cfg.Addr, kafkaPort)
	if err != nil {
		return nil, err
	}
	gate := newGatedListener(inner)
	b.addr = inner.Addr().String()
	openTxns := hasOpenTransactions(b.dir)
	b.cluster, err = kfake.NewCluster(b.options(gate)...)
	if err != nil {
		return nil, fmt.Errorf("starting the broker on %q: %w", b.dir, err)
	}
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
	versions.SetMaxKeyVersion(describeTopicPartitionsKey, -1)
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

const describeTopicPartitionsKey = 75

// Addr is the host:port that clients bootstrap from.
func (b *Broker) Addr() string { return b.addr }

// ApplyRetention deletes what the topics' retention.ms and retention.bytes no
// longer keep.
func (b *Broker) ApplyRetention() { b.cluster.ApplyRetention() }

// Run applies retention on a timer and watches the disk until ctx ends; it
// returns nil then. It ends with an error when the broker could not write: an
// offset commit may have been acknowledged and lost, and only a restart tells.
func (b *Broker) Run(ctx context.Context) error {
	retention := time.NewTicker(b.cfg.RetentionInterval)
	defer retention.Stop()
	space := time.NewTicker(headroomInterval)
	defer space.Stop()
	for {
		if err := b.log.failure(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-retention.C:
			b.cluster.ApplyRetention()
		case <-space.C:
			err := b.checkSpace()
			b.mu.Lock()
			changed := (err == nil) != (b.space == nil)
			b.space = err
			b.mu.Unlock()
			if changed && err != nil {
				b.cfg.Logger.Error("the broker's disk is nearly full", "error", err)
			}
		}
	}
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

func (b *Broker) checkSpace() error {
	free, err := Headroom(b.dir)
	if err != nil {
		return err
	}
	if free < b.cfg.MinFree {
		return fmt.Errorf("only %d MiB are free where %q lies, the broker needs %d MiB: free some space or move the data directory",
			free>>20, b.dir, b.cfg.MinFree>>20)
	}
	return nil
}

// Close writes everything to disk and ends the broker. The error says that
// something could not be written.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.log.failure()
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

// brokerLog passes the broker's warnings on and remembers a failed write.
type brokerLog struct {
	logger interface {
		Warn(msg string, args ...any)
		Error(msg string, args ...any)
	}

	mu  sync.Mutex
	err error
}

// Logf implements kfake.Logger.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || level == kfake.LogLevelNone {
		return
	}
	text := fmt.Sprintf(format, args...)
	if !strings.HasPrefix(text, "persist ") && !strings.Contains(text, "failed to persist") {
		l.logger.Warn("broker", "message", text)
		return
	}
	l.logger.Error("the broker could not write", "message", text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("the broker could not write to its log (%s): free some space and restart", text)
	}
}

func (l *brokerLog) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// gatedListener lets clients connect but takes none before the gate is open:
// the port is ours from the first moment, the service comes later.
type gatedListener struct {
	net.Listener
	opened    chan struct{}
	closed    chan struct{}
	openOnce  sync.Once
	closeOnce sync.Once
}

func newGatedListener(l net.Listener) *gatedListener {
	return &gatedListener{Listener: l, opened: make(chan struct{}), closed: make(chan struct{})}
}

func (g *gatedListener) open() { g.openOnce.Do(func() { close(g.opened) }) }

// Accept waits for the gate, then for a client.
func (g *gatedListener) Accept() (net.Conn, error) {
	select {
	case <-g.opened:
		return g.Listener.Accept()
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, open or not.
func (g *gatedListener) Close() error {
	err := net.ErrClosed
	g.closeOnce.Do(func() {
		close(g.closed)
		err = g.Listener.Close()
	})
	return err
}
