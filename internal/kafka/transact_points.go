package kafka

import (
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// pointHooks are the options by which a client passes the point between the
// offsets and the end of a transaction. The client library does both in one call,
// so this is where an answer arrives. Nobody but the kill test has any.
func pointHooks(set *failpoint.Set) []kgo.Opt {
	if set == nil {
		return nil
	}
	return []kgo.Opt{kgo.WithHooks(offsetsAdded{set})}
}

type offsetsAdded struct{ set *failpoint.Set }

var _ kgo.HookBrokerRead = offsetsAdded{}

// OnBrokerRead is called when an answer was read, before anybody acts on it.
func (h offsetsAdded) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.TxnOffsetCommit) && err == nil {
		_ = h.set.Hit(failpoint.TransactOffsetsAdded) // there is nobody to give an error to
	}
}
