package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/pricelake/pricelake/internal/stream"
)

// Undecided is a transaction that is open in a partition.
type Undecided struct {
	stream.TopicPartition
	Offset     int64 // of its first record
	ProducerID int64
	Written    time.Time // when its producer wrote there last, by the broker's clock
}

// Undecided returns the transactions that are open in the topics. Topics that the
// account may not read are left out.
func (a *Admin) Undecided(ctx context.Context, topics ...string) ([]Undecided, error) {
	var all []Undecided
	for _, topic := range topics { // an account may read some of them
		var one kadm.TopicsSet
		one.Add(topic)
		described, err := a.admin.DescribeProducers(ctx, one)
		var refused *kadm.AuthError
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("asking who has transactions open in %q: %w", topic, known(err))
		}
		for _, p := range described.SortedProducers() {
			if p.CurrentTxnStartOffset >= 0 {
				all = append(all, Undecided{
					TopicPartition: stream.TopicPartition{Topic: p.Topic, Partition: p.Partition},
					Offset:         p.CurrentTxnStartOffset, ProducerID: p.ProducerID, Written: time.UnixMilli(p.LastTimestamp),
				})
			}
		}
	}
	return all, nil
}
