package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Txn publishes sets of records, each in one transaction, under a fixed
// transactional id. Two holders of one id exclude each other: opening the
// second fences the first, whose next Publish returns ErrFenced. Schedulers
// write a request and its slot through it, so that none is asked for twice.
type Txn struct {
	id     string
	cfg    Config
	client *kgo.Client
	points TxnPoints
	mender *mender
	// connector is armed once the id is taken over.
	connector *connector
	hung      atomic.Pointer[error] // what hangs, see connector
	cancel    context.CancelFunc    // of the client
	gone      <-chan struct{}       // closed when the client has ended

	mu      sync.Mutex // one transaction at a time
	opened  bool
	fenced  error
	doubt   bool  // a transaction may still be open
	implied *bool // see offsetsImplied; nil: not asked yet
}

// TxnPoints are the failpoints of a Txn; one that is empty is none.
type TxnPoints struct {
	Begun     failpoint.Point // the transaction is open, nothing is produced
	Produced  failpoint.Point // every record is acknowledged, the transaction is open
	Offsets   failpoint.Point // offsets are in the transaction too
	Committed failpoint.Point // the transaction is committed, the caller does not know
}

// TxnOption changes what NewTxn makes.
type TxnOption func(*txnOptions)

type txnOptions struct {
	outputs     []string
	group       string          // whose offsets are in the transactions; empty: none
	topics      []string        // of the group
	ctx         context.Context // of the client; nil: until Close
	points      TxnPoints
	compression kgo.CompressionCodec
}

// WithTxnPoints makes the Txn pass failpoints.
func WithTxnPoints(p TxnPoints) TxnOption { return func(o *txnOptions) { o.points = p } }

// WithOutputs names the topics that are written to. They are looked through for
// transactions that hang (see mender).
func WithOutputs(topics ...string) TxnOption { return func(o *txnOptions) { o.outputs = topics } }

// NewTxn returns a Txn; Open takes over the id. Close it.
func NewTxn(c Config, transactionalID string, options ...TxnOption) (*Txn, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if transactionalID == "" {
		return nil, errors.New("making a transactional producer: the transactional id is empty")
	}
	o := txnOptions{compression: hotCompression()}
	for _, set := range options {
		set(&o)
	}
	metrics, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	if o.ctx == nil {
		o.ctx = context.Background()
	}
	ctx, cancel := context.WithCancel(o.ctx)
	t := &Txn{id: transactionalID, cfg: c, points: o.points, cancel: cancel, gone: ctx.Done()}
	t.mender = &mender{cfg: c, id: transactionalID, outputs: o.outputs, metrics: metrics, group: o.group, topics: o.topics, log: c.logger()}
	t.connector = &connector{mender: t.mender, hangs: func(err error) {
		t.hung.Store(&err)
		cancel() // it must not get through later
	}}
	if err := t.mender.connect(); err != nil {
		cancel()
		return nil, err
	}
	opts := append(commonOptions(c), transactionalOptions(c, transactionalID, o.compression)...)
	opts = append(opts, kgo.WithContext(ctx), t.connector.option())
	if t.client, err = kgo.NewClient(opts...); err != nil {
		cancel()
		t.mender.close()
		return nil, fmt.Errorf("making transactional producer %q: %w", transactionalID, err)
	}
	return t, nil
}

// Open takes over the id: an open transaction of an earlier holder is aborted,
// and the holder is fenced; one that hangs is ended as it was decided. Call it
// before reading what an earlier holder may have written. Publish does it too if
// need be.
func (t *Txn) Open(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open(ctx)
}

func (t *Txn) open(ctx context.Context) error {
	if t.fenced != nil || t.opened {
		return t.fenced
	}
	if err := t.mender.mend(ctx); err != nil {
		return fmt.Errorf("taking over %q: %w", t.id, err)
	}
	if _, _, err := t.client.ProducerID(ctx); err != nil {
		return t.failed("taking over", err)
	}
	t.opened = true
	t.connector.armed.Store(true)
	return nil
}

// Publish writes all records in one transaction, or none. It returns after the
// commit, or an error once brokers have not answered for about as long as a
// transaction may take (Config.TransactionTimeout) at each of its steps. On an
// error other than ErrFenced none is visible to readers of committed records, unless the commit's own answer was lost (see
// ErrOutcomeUnknown); calling again with the same records is up to the caller.
func (t *Txn) Publish(ctx context.Context, rs ...stream.Record) error {
	return t.publish(ctx, rs, nil)
}

// publish is Publish with offsets of a group in the same transaction: once the
// records are acknowledged, and before the end, add is called with the epoch they
// were produced in. Nothing is visible when it fails.
func (t *Txn) publish(ctx context.Context, rs []stream.Record, add func(context.Context, producerEpoch) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.open(ctx); err != nil || len(rs) == 0 {
		return err
	}
	if t.doubt {
		if err := t.abort(); err != nil {
			return err
		}
	}
	if err := t.client.BeginTransaction(); err != nil {
		return t.failed("beginning a transaction of", err)
	}
	// The coordinator gives it no longer, and the client would try for ever.
	filling, done := context.WithTimeout(ctx, t.cfg.TransactionTimeout)
	defer done()
	if err := t.fill(filling, rs, add); err != nil {
		if t.fenced != nil {
			return err
		}
		return errors.Join(err, t.abort())
	}
	// The end is not cut short by ctx: a cut leaves the outcome unknown.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.cfg.TransactionTimeout)
	defer cancel()
	if err := t.client.EndTransaction(end, kgo.TryCommit); err != nil {
		err = t.failed("committing a transaction of", err)
		if errors.Is(err, ErrFenced) {
			return err
		}
		return errors.Join(ErrOutcomeUnknown, err, t.abort())
	}
	if err := t.pass(t.points.Committed); err != nil {
		return errors.Join(ErrOutcomeUnknown, err)
	}
	return nil
}

// fill puts records, and what add adds, into an open transaction.
func (t *Txn) fill(ctx context.Context, rs []stream.Record, add func(context.Context, producerEpoch) error) error {
	if err := t.pass(t.points.Begun); err != nil {
		return err
	}
	id, epoch, err := t.client.ProducerID(ctx)
	if err != nil {
		return t.failed("producing as", err)
	}
	acks := produce(ctx, t.client, rs)
	select {
	case <-acks.done:
	case <-t.gone:
		// The client then forgets to say so of what it could not send.
		return t.failed("publishing in a transaction of", errClientEnded)
	case <-ctx.Done():
		return fmt.Errorf("publishing in a transaction of %q: %w", t.id, ctx.Err())
	}
	if err := acks.result(); err != nil {
		return t.failed("publishing in a transaction of", err)
	}
	if err := t.pass(t.points.Produced); err != nil || add == nil {
		return err
	}
	if err := add(ctx, producerEpoch{id, epoch}); err != nil {
		return t.failed("adding offsets to a transaction of", err)
	}
	return t.pass(t.points.Offsets)
}

func (t *Txn) pass(p failpoint.Point) error {
	if p == "" {
		return nil
	}
	return t.cfg.Failpoints.Hit(p)
}

// ErrOutcomeUnknown means that the broker did not answer a commit, or answered
// that it does not know: the transaction may or may not have been committed.
var ErrOutcomeUnknown = errors.New("the outcome of the transaction is unknown: read back before repeating")

func (t *Txn) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.cfg.TransactionTimeout)
	defer cancel()
	t.doubt = true
	if err := t.client.AbortBufferedRecords(ctx); err != nil {
		return t.failed("dropping records of", err)
	}
	if err := t.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return t.failed("aborting a transaction of", err)
	}
	t.doubt = false
	return nil
}

// sound reports whether the next transaction can be begun: the holder of the id
// is not fenced, and nothing of an earlier transaction is left open.
func (t *Txn) sound() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fenced == nil && !t.doubt
}

// failed names what failed, and remembers being fenced: the client library
// would take a new epoch and so fence the holder that fenced us.
func (t *Txn) failed(doing string, err error) error {
	err = fmt.Errorf("%s %q: %w", doing, t.id, known(err))
	if hung := t.hung.Load(); hung != nil {
		// The next holder ends it; it may be the same process.
		err = fmt.Errorf("%w: %w: %w", ErrFenced, *hung, err)
	}
	if errors.Is(err, ErrFenced) || errors.Is(err, errClientEnded) {
		t.fenced = err
	}
	return err
}

// Close disconnects. A Publish that runs is waited for.
func (t *Txn) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.client.Close()
	t.mender.close()
	t.cancel()
	if t.fenced == nil {
		t.fenced = errClosed
	}
}

var (
	errClosed      = errors.New("used after Close")
	errClientEnded = errors.New("the client has ended")
)
