package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
)

// Transact is the loop of the stages between topics. What a stage makes of a
// batch, its dead letters and the batch's offsets are committed in one Kafka
// transaction: all of it is visible, or none and the batch comes again.
type Transact struct {
	Config Config
	Group  string
	Topics []string
	// TransactionalID names this process among those of the role, the same
	// after a restart: a successor then ends at once what its predecessor left
	// open, instead of waiting for Config.TransactionTimeout. No two processes
	// that run at the same time may share it.
	TransactionalID string
	// Family is how the transactional ids of all processes of the role begin:
	// what one of them left hanging, another ends. Empty: none but its own.
	Family string
	// Outputs are the topics that stages write to, dead letters included. They
	// are looked through for transactions that hang (see mender).
	Outputs []string
	// Sessions is how many transactions are under way at once. A partition
	// that is slow holds up those of its session only. 0 means 1.
	Sessions int
	// MaxRecords bounds the input of one transaction. 0 means 10,000.
	MaxRecords int
	// MaxBytes bounds it too, by the mean size of the records that are waiting,
	// and so what stages make of it: an answer with many prices becomes several
	// times its size. One record is always taken. 0 means 2 MiB.
	MaxBytes int
	// Linger is the least time between the starts of two transactions of one
	// session: at low rates records share one. 0 means 5 ms.
	Linger time.Duration
	// Gate holds back transactions that have not been begun; nil: never.
	Gate Gate
}

// Run serves the group until ctx ends, and then returns nil: the transactions
// in hand are finished within Config.DrainTimeout, or aborted. It fails only
// when the configuration does. open is called for each partition assigned,
// outside of any transaction, until it succeeds; the partition's records wait,
// those of others do not. A stage whose Handle fails gets the same records
// again after a pause.
func (t Transact) Run(ctx context.Context, open stream.OpenStage) error {
	t = t.withDefaults()
	if err := t.validate(); err != nil {
		return err
	}
	seen := new(topicIDs)
	loops := make([]sessionLoop, t.Sessions)
	for i := range loops {
		m, err := newMembership(t.Config, t.Group, t.Topics...)
		if err != nil {
			return err
		}
		loops[i] = sessionLoop{Transact: t, membership: m, open: open, seen: seen, id: fmt.Sprintf("%s-%d", t.TransactionalID, i)}
	}
	var sessions sync.WaitGroup
	stopWatch, err := loops[0].mender().watching(ctx)
	if err != nil {
		return err
	}
	defer stopWatch()
	for _, s := range loops {
		sessions.Go(func() { s.run(ctx) })
	}
	sessions.Wait()
	return nil
}

func (t Transact) withDefaults() Transact {
	if t.Sessions == 0 {
		t.Sessions = 1
	}
	if t.MaxRecords == 0 {
		t.MaxRecords = pollRecords
	}
	if t.MaxBytes == 0 {
		t.MaxBytes = 2 << 20
	}
	if t.Linger == 0 {
		t.Linger = 5 * time.Millisecond
	}
	return t
}

func (t Transact) validate() error {
	errs := []error{t.Config.Validate()}
	if t.Group == "" || len(t.Topics) == 0 {
		errs = append(errs, errors.New("transact: group and topics must be set"))
	}
	if strings.TrimSpace(t.TransactionalID) == "" {
		errs = append(errs, errors.New("transact: the transactional id is empty: give the process a name that outlives a restart"))
	}
	if t.Sessions < 0 || t.MaxRecords < 0 || t.MaxBytes < 0 || t.Linger < 0 {
		errs = append(errs, fmt.Errorf("transact: sessions %d, records %d, bytes %d, linger %v: none may be negative", t.Sessions, t.MaxRecords, t.MaxBytes, t.Linger))
	}
	return errors.Join(errs...)
}
