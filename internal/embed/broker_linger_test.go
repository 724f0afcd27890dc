//go:build !noembed && unix

package embed_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/embed"
)

// member is one of the group "g" that sends each request when the test says so.
type member struct {
	t          *testing.T
	client     *kgo.Client
	id, leader string
	generation int32

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func newMember(t *testing.T, b *embed.Broker) *member {
	m := &member{t: t, generation: -1}
	m.client = kafkaClient(t, b, kgo.Dialer(m.dial), kgo.RequestRetries(0))
	return m
}

func (m *member) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || m.dead {
		return nil, errors.Join(err, net.ErrClosed)
	}
	m.conns = append(m.conns, conn)
	return conn, nil
}

// kill is what the broker sees of a process that is killed.
func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	for _, c := range m.conns {
		c.Close()
	}
}

// join returns once the group has a generation with this member.
func (m *member) join(ctx context.Context) error {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType, req.MemberID = "g", "consumer", m.id
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 1000, 30_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	req.Protocols = append(req.Protocols, protocol)
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	m.id = resp.MemberID
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		return m.join(ctx)
	}
	m.leader, m.generation = resp.LeaderID, resp.Generation
	return kerr.ErrorForCode(resp.ErrorCode)
}

// sync returns once the leader has said who gets what.
func (m *member) sync(ctx context.Context) error {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = "g", m.id, m.generation
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

func (m *member) heartbeat(ctx context.Context) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = "g", m.id, m.generation
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// live does what a consumer does until ctx ends.
func (m *member) live(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.join(ctx)
		if err == nil {
			err = m.sync(ctx)
		}
		for err == nil {
			time.Sleep(200 * time.Millisecond)
			err = m.heartbeat(ctx)
		}
		if errors.Is(err, kerr.UnknownMemberID) {
			m.id = ""
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// background runs a step of a member, and waits for it when the test ends.
func background(t *testing.T, step func(context.Context)) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { step(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
}

func describe(t *testing.T, c *kgo.Client) kmsg.DescribeGroupsResponseGroup {
	t.Helper()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{"g"}
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Groups[0]
}

// awaitGroup waits until the group has that state and number of members, and
// returns for how long it has.
func awaitGroup(t *testing.T, c *kgo.Client, state string, members int) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		g := describe(t, c)
		if g.State == state && len(g.Members) == members {
			return time.Since(start)
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("the group is %s with %d members, want %s with %d", g.State, len(g.Members), state, members)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soon is several times the session timeout and a fraction of the rebalance timeout.
const soon = 8 * time.Second

func TestBrokerEndsAMemberKilledInItsJoin(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	admin := kafkaClient(t, b)
	leader, killed := newMember(t, b), newMember(t, b)
	must(t, leader.join(t.Context()))
	must(t, leader.sync(t.Context()))
	background(t, func(ctx context.Context) { killed.join(ctx) })
	awaitGroup(t, admin, "PreparingRebalance", 2)
	killed.kill()
	background(t, leader.live)
	if took := awaitGroup(t, admin, "Stable", 1); took > soon {
		t.Errorf("the killed member stayed for %v", took)
	}
}

func TestBrokerEndsALeaderKilledInItsJoin(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	admin := kafkaClient(t, b)
	leader, one, two := newMember(t, b), newMember(t, b), newMember(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	var led sync.WaitGroup
	led.Go(func() { leader.live(ctx) })
	awaitGroup(t, admin, "Stable", 1)
	background(t, one.live)
	background(t, two.live)
	awaitGroup(t, admin, "Stable", 3)
	cancel()
	led.Wait()
	if leader.id != leader.leader {
		t.Fatalf("%s leads, want the first member", leader.leader)
	}
	background(t, leader.live)
	awaitGroup(t, admin, "PreparingRebalance", 3)
	leader.kill()
	if took := awaitGroup(t, admin, "Stable", 2); took > soon {
		t.Errorf("the killed leader held the group up for %v", took)
	}
}
