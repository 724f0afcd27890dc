package kafka_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
)

func testOwner(t *testing.T, c *cluster) {
	const partitions = 3
	topic, group := c.topic(t, partitions), c.name(t)
	var mu sync.Mutex
	owners := make(map[int32]int)
	run := func(n int) *loop {
		o := kafka.Owner{Config: c.config(t), Group: group, Topic: topic}
		return start(t, func(ctx context.Context) error {
			return o.Run(ctx, func(ctx context.Context, p int32) error {
				mu.Lock()
				if owners[p] != 0 {
					t.Errorf("partition %d has owners %d and %d", p, owners[p], n)
				}
				owners[p] = n
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				owners[p] = 0
				mu.Unlock()
				return nil
			})
		})
	}
	count := func() map[int]int {
		mu.Lock()
		defer mu.Unlock()
		n := make(map[int]int)
		for _, o := range owners {
			n[o]++
		}
		return n
	}
	first := run(1)
	eventually(t, "one to own all", func() bool { return count()[1] == partitions })
	second := run(2)
	eventually(t, "both to own some", func() bool { n := count(); return n[1] > 0 && n[2] > 0 && n[0] == 0 })
	first.stop(t)
	eventually(t, "the other to own all", func() bool { return count()[2] == partitions })
	second.stop(t)
	if n := count(); n[0] != partitions {
		t.Errorf("after both have left the owners are %v", n)
	}
	if got := c.committed(t, group, topic); got[0] != -1 {
		t.Errorf("an owner committed %v", got)
	}
}

func testOwnerFails(t *testing.T, c *cluster) {
	topic := c.topic(t, 1)
	var calls atomic.Int64
	o := kafka.Owner{Config: c.config(t), Group: c.name(t), Topic: topic}
	start(t, func(ctx context.Context) error {
		return o.Run(ctx, func(context.Context, int32) error {
			calls.Add(1)
			return errors.New("injected")
		})
	})
	eventually(t, "it to be called again", func() bool { return calls.Load() >= 3 })
}
