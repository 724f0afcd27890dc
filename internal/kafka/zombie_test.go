package kafka_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// silence lets no heartbeat of members whose client id has the prefix reach the
// group, as if their process were frozen or cut off, until heal is called.
func (c *cluster) silence(prefix string) (heal func()) {
	var healed atomic.Bool
	c.fake.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if healed.Load() || !strings.HasPrefix(r.(*kmsg.HeartbeatRequest).MemberID, prefix) {
			return nil, nil, false
		}
		c.fake.KeepControl()
		return r.ResponseKind(), nil, true // "all is well", which it is not
	})
	return func() { healed.Store(true) }
}

// zombie returns two configurations: that of a member that will be cut off, and
// that of one that takes over.
func (c *cluster) zombie(t *testing.T) (zombie, successor kafka.Config) {
	zombie, successor = c.config(t), c.config(t)
	zombie.ClientID, successor.ClientID = "zombie", "successor"
	// The group forgets the zombie soon.
	zombie.SessionTimeout, zombie.TransactionTimeout, zombie.RebalanceTimeout = time.Second, time.Second, 30*time.Second
	return zombie, successor
}

// testRangeZombie: a member that the group has given up does not know it, and
// finishes a write. Its commit is refused although the request has no error,
// and must not move what its successor committed.
func testRangeZombie(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to lose heartbeats")
	}
	in, group := c.topic(t, 1), c.name(t)
	zombie, successor := c.zombie(t)
	var writing atomic.Bool
	release := make(chan struct{})
	l, other := c.newLake(), c.newLake()
	l.hold = func(ctx context.Context, _ stream.Batch) {
		writing.Store(true)
		<-release // frozen: it does not notice the end of its context
	}
	r := c.rangeLoop(t, group, in)
	r.Config = zombie
	first := start(t, func(ctx context.Context) error { return r.Run(ctx, l.Open) })
	c.number(t, in, 1, 0, 10)
	eventually(t, "the zombie to write", writing.Load)
	heal := c.silence("zombie")

	r.Config = successor
	second := start(t, func(ctx context.Context) error { return r.Run(ctx, other.Open) })
	c.number(t, in, 1, 10, 10)
	eventually(t, "the successor to be done", func() bool { return c.committed(t, group, in)[0] == 20 })
	close(release)
	// The zombie comes to, commits, and is refused.
	eventually(t, "the zombie to notice", func() bool {
		if at := c.committed(t, group, in)[0]; at != 20 {
			t.Fatalf("the zombie moved the commit to %d", at)
		}
		return c.members(t, group) == 2
	})
	heal()
	second.stop(t)
	c.number(t, in, 1, 20, 10)
	eventually(t, "the former zombie to go on", func() bool { return c.committed(t, group, in)[0] == 30 })
	first.stop(t)
	claims := l.claimed()
	if last := claims[len(claims)-1]; last.Committed != 20 {
		t.Errorf("the former zombie claimed the partition at %d, want 20", last.Committed)
	}
	if l.count(0) != 20 || other.count(0) != 20 {
		t.Errorf("the zombie wrote %d rows, its successor %d; want 10 before and 10 after, and 20", l.count(0), other.count(0))
	}
}

// testTransactZombie: the same for a stage, whose transaction must not commit.
func testTransactZombie(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to lose heartbeats")
	}
	in, group := c.topic(t, 1), c.name(t)
	zombie, successor := c.zombie(t)
	var handling atomic.Bool
	release := make(chan struct{})
	stage := newCopier(t, c, 1)
	stage.overlaps = true
	stage.fail = func(stream.Batch) error {
		if handling.CompareAndSwap(false, true) {
			<-release
		}
		return nil
	}
	tr := c.transact(t, group, in, 1)
	tr.Config = zombie
	first := start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	c.number(t, in, 1, 0, 10)
	eventually(t, "the zombie to handle a batch", handling.Load)
	heal := c.silence("zombie")

	tr = c.transact(t, group, in, 1)
	tr.Config = successor
	second := start(t, func(ctx context.Context) error { return tr.Run(ctx, stage.Open) })
	c.number(t, in, 1, 10, 10)
	eventually(t, "the successor to be done", func() bool { return c.committed(t, group, in)[0] == 20 })
	close(release)
	eventually(t, "the zombie to join anew", func() bool { return c.members(t, group) == 2 })
	heal()
	second.stop(t)
	c.number(t, in, 1, 20, 10)
	stage.verify(t, c, group, in, 1, 30)
	first.stop(t)
}
