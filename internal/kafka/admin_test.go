package kafka_test

import (
	"context"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/twmb/franz-go/pkg/kgo"
)

func testAdmin(t *testing.T, c *cluster) {
	in, group := c.topic(t, 2), c.name(t)
	c.number(t, in, 1, 0, 10)
	c.deleteRecords(t, in, 4)
	end := c.openTransaction(t, in, "open")

	brokers, err := c.admin(t).Brokers(t.Context())
	if err != nil || len(brokers) == 0 || brokers[0].Address == "" || brokers[0].Version == "" {
		t.Errorf("brokers: %+v, %v", brokers, err)
	}
	topics, err := c.admin(t).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := c.log(t).Describe(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want := kafka.TopicInfo{Name: in, ID: id, Partitions: 2, ReplicationFactor: 1}
	found := false
	for _, topic := range topics {
		found = found || topic == want
	}
	if !found {
		t.Errorf("topics %+v lack %+v", topics, want)
	}

	ps, err := c.admin(t).Positions(t.Context(), group, in)
	if err != nil || len(ps) != 2 {
		t.Fatalf("positions of a group that never ran: %+v, %v", ps, err)
	}
	if p := ps[0]; p.Committed != -1 || p.First != 4 || p.Stable != 10 || p.End != 11 || p.Lag() != 7 {
		t.Errorf("partition 0 is %+v with a lag of %d, want no commit, [4,11) stable up to 10, 7", p, p.Lag())
	}
	if g, err := c.admin(t).Group(t.Context(), group); err != nil || g.State != "Dead" || len(g.Members) != 0 {
		t.Errorf("a group that never ran is %+v, %v", g, err)
	}

	if err := end(kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	l := c.newLake()
	r := c.rangeLoop(t, group, in)
	start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	eventually(t, "everything to be committed", func() bool { return c.committed(t, group, in)[0] == 12 })
	ps, err = c.admin(t).Positions(t.Context(), group, in)
	if err != nil || ps[0].Lag() != 0 || ps[1].Lag() != 0 {
		t.Errorf("positions %+v, %v; want no lag", ps, err)
	}
	g, err := c.admin(t).Group(t.Context(), group)
	if err != nil || g.State != "Stable" || len(g.Members) != 1 || len(g.Members[0].Partitions) != 2 || g.Members[0].ClientID != "pricelake" {
		t.Errorf("the group is %+v, %v; want one member with both partitions", g, err)
	}
}
