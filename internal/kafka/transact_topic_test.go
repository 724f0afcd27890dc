package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
)

// recreate deletes a topic and creates it again under its name.
func (c *cluster) recreate(t *testing.T, topic string, partitions int32) {
	t.Helper()
	admin := kadm.NewClient(c.client(t))
	before, _, err := c.log(t).Describe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteTopic(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic to be created again", func() bool {
		_, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic)
		return err == nil
	})
	eventually(t, "the topic to have another id", func() bool {
		after, _, err := c.log(t).Describe(t.Context(), topic)
		return err == nil && after != before
	})
}

// testTransactRecreated: a topic that is deleted and created again is not gone on
// with, whatever the brokers have kept of the group's offsets, until somebody has
// set them.
func testTransactRecreated(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	stage := newCopier(t, c, 1)
	c.number(t, in, 1, 0, 100)
	tr := c.transact(t, group, in, 1)
	reg := prometheus.NewRegistry()
	tr.Config.Registerer = reg
	l := start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	stage.verify(t, c, group, in, 1, 100)

	c.recreate(t, in, 1)
	c.number(t, in, 1, 100, 150) // beyond what is committed of the old one, too
	labels := map[string]string{"group": group, "topic": in, "step": "claim"}
	eventually(t, "the partition to stand still", func() bool { v, _ := gauge(t, reg, "pricelake_kafka_retries_total", labels); return v > 0 })
	time.Sleep(time.Second) // a wrong start would show by now
	if got := c.all(t, stage.out)[0]; len(got) != 100 {
		t.Fatalf("%d records went through, want the 100 of the first topic", len(got))
	}
	l.stop(t)

	admin := kadm.NewClient(c.client(t))
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: in, Partition: 0, At: 0, LeaderEpoch: -1})
	eventually(t, "the operator to set the offset", func() bool {
		_, err := admin.CommitOffsets(t.Context(), group, offsets)
		return err == nil && c.committed(t, group, in)[0] == 0
	})
	start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	eventually(t, "the new topic to be read", func() bool { return c.committed(t, group, in)[0] >= 150 })
	for i, v := range c.all(t, stage.out)[0] {
		if v != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, v)
		}
	}
	if n := len(c.all(t, stage.out)[0]); n != 250 {
		t.Errorf("%d records went through, want 250", n)
	}
}

// testTransactOutputRecreated: what a transaction wrote to a topic that was
// deleted and created again meanwhile does not count as published.
func testTransactOutputRecreated(t *testing.T, c *cluster) {
	in, group := c.topic(t, 1), c.name(t)
	stage := newCopier(t, c, 1)
	c.number(t, in, 1, 0, 100)
	tr := c.transact(t, group, in, 1)
	opened := make(chan stream.TopicID, 100)
	start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(ctx context.Context, tp stream.TopicPartition) (stream.Stage, error) {
			id, _, err := stage.log.Describe(ctx, stage.out)
			if err == nil {
				select {
				case opened <- id:
				default:
				}
			}
			return stage.Open(ctx, tp)
		})
	})
	stage.verify(t, c, group, in, 1, 100)
	old := <-opened
	c.recreate(t, stage.out, 1)
	c.number(t, in, 1, 0, 50) // the copier's state is the new topic's: empty
	eventually(t, "the stage to be opened anew, of the new topic", func() bool {
		select {
		case id := <-opened:
			return id != old
		default:
			return false
		}
	})
}
