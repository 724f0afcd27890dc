package fault

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testOptions(seed uint64) Options {
	return Options{Seed: seed, Kills: 200, Gap: time.Second, Others: 0.7, Session: 3 * time.Second, Proxied: []string{Broker, ClickHouse},
		Processes: []Process{{"poller-1", "poller", 6, true}, {"poller-2", "poller", 6, true}, {"deduplicator-1", "deduplicator", 6, true}, {Broker, "", 12, true}, {Registry, "", 3, false}}}
}

func TestPlanIsRepeatable(t *testing.T) {
	a, b := Plan(testOptions(1)), Plan(testOptions(1))
	if !reflect.DeepEqual(a, b) {
		t.Fatal("one seed, two plans")
	}
	if reflect.DeepEqual(a, Plan(testOptions(2))) {
		t.Fatal("two seeds, one plan")
	}
}

func TestPlanHasEverything(t *testing.T) {
	kinds, targets, kills := map[Kind]int{}, map[string]int{}, 0
	last := time.Duration(0)
	steps := Plan(testOptions(3))
	for _, s := range steps {
		if s.At < last || s.Target == "" {
			t.Fatalf("a step out of order or without a target: %+v", s)
		}
		last = s.At
		kinds[s.Kind]++
		if s.Kind == Kill || s.Kind == KillAll {
			kills++
		}
		if s.Kind == Kill {
			targets[s.Target]++
		}
		if s.Kind == Freeze && s.Target == Registry {
			t.Fatal("the registry is frozen")
		}
		if s.Kind == Wipe && s.Target != "deduplicator-1" || s.Kind == Burn && s.Target != ClickHouse {
			t.Fatalf("%s of %s", s.Kind, s.Target)
		}
		if s.Kind == Lose && s.Times == 0 {
			t.Fatalf("nothing is lost: %+v", s)
		}
	}
	if kills != 200 || len(kinds) != 10 || len(targets) != 5 || last != Length(steps) {
		t.Fatalf("%d kills, kinds %v, targets %v", kills, kinds, targets)
	}
	if mean := last / 200; mean < 800*time.Millisecond || mean > 1200*time.Millisecond {
		t.Errorf("a kill every %s, a second was asked for", mean)
	}
	if only := Plan(Options{Seed: 1, Kills: 5, Gap: time.Second, Processes: []Process{{"one", "", 1, false}}, Kinds: []Kind{Reset}}); len(only) != 5 {
		t.Errorf("a plan of kills alone: %v", only)
	}
}

func TestPlanGivesEveryPointItsTurn(t *testing.T) {
	for _, c := range []struct{ kills, points, atOnce, least int }{
		{kills: 50, points: 5, atOnce: 1, least: 5},   // few kills: each a point
		{kills: 200, points: 5, atOnce: 1, least: 20}, // few points
		{kills: 200, points: 36, atOnce: 3, least: 5},
	} {
		o := testOptions(4)
		o.Kills = c.kills
		for i := range c.points {
			roles := []string{"poller"}
			if i%2 == 0 {
				roles = []string{"lake", "poller"}
			}
			o.Points = append(o.Points, Point{string(rune('A' + i)), roles})
		}
		o.Processes = append(o.Processes, Process{"lake-1", "lake", 6, true})
		turns, kills, most := map[string]int{}, 0, 0
		for _, s := range Plan(o) {
			switch s.Kind {
			case Failpoint:
				for _, p := range s.Points {
					turns[p]++
				}
				if most = max(most, len(s.Points)); s.Nth < 1 || s.Nth > maxNth || s.Target != "lake-1" && !strings.HasPrefix(s.Target, "poller-") || len(s.Points) == 0 {
					t.Fatalf("a step at a point: %+v", s)
				}
				kills++
			case Kill, KillAll:
				kills++
			}
		}
		least := slices.Min(slices.Collect(maps.Values(turns)))
		if len(turns) != c.points || least < c.least || most != c.atOnce || kills != c.kills {
			t.Errorf("%d kills, %d points: %d kills with up to %d points, the fewest turns %d of %v", c.kills, c.points, kills, most, least, turns)
		}
	}
}

// Zombies are frozen for as long as it takes to be given up, each role as often
// as was asked for, beside everything else and in order.
func TestPlanOfZombies(t *testing.T) {
	o := testOptions(5)
	o.Processes = nil
	for _, role := range ZombieRoles() {
		o.Processes = append(o.Processes, Process{role + "-1", role, 6, true}, Process{role + "-2", role, 6, true})
	}
	o.Kills, o.Zombies, o.Kinds = 5, 20, []Kind{Reset}
	frozen, kills, last := map[string]int{}, 0, time.Duration(0)
	for _, s := range Plan(o) {
		if s.At < last {
			t.Fatalf("a step out of order: %+v", s)
		}
		last = s.At
		switch {
		case s.Kind == Freeze && s.For == 2*o.Session:
			frozen[strings.TrimRight(s.Target, "-12")]++
		case s.Kind == Kill:
			kills++
		}
	}
	if want := map[string]int{"poller": 20, "normalizer": 20, "deduplicator": 20, "lake": 20}; !maps.Equal(frozen, want) || kills != 5 {
		t.Errorf("frozen %v and %d kills, want %v and 5", frozen, kills, want)
	}
}

// running runs something for the length of the test.
func running(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// echo answers every byte with the same, and counts them.
func echo(t *testing.T) (addr string, seen chan byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seen = make(chan byte, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1)
			for {
				if _, err := conn.Read(b); err != nil {
					break
				}
				seen <- b[0]
				_, _ = conn.Write(b)
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), seen
}

func TestProxy(t *testing.T) {
	addr, seen := echo(t)
	p, err := NewProxy(func() string { return addr })
	if err != nil {
		t.Fatal(err)
	}
	running(t, p.Run)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}
	say := func(conn net.Conn) error {
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	conn := dial()
	if err := say(conn); err != nil {
		t.Fatal(err)
	}
	<-seen
	if n := p.Reset(); n != 1 {
		t.Errorf("%d connections were cut", n)
	}
	if err := say(conn); err == nil {
		t.Error("the connection outlived a reset")
	}
	conn.Close()
	for len(p.pipes()) > 0 { // what is cut is forgotten a moment later
		runtime.Gosched()
	}

	conn = dial()
	defer conn.Close()
	if err := say(conn); err != nil {
		t.Fatal(err)
	}
	<-seen
	lost := make(chan int)
	go func() { lost <- p.LoseAnswers(context.Background(), time.Minute) }()
	for c := p.pipes()[0]; !c.deaf.Load(); {
		runtime.Gosched()
	}
	if err := say(conn); err == nil {
		t.Error("an answer came that had to be lost")
	}
	if n := <-lost; n != 1 || len(seen) != 1 {
		t.Errorf("%d answers lost, the server saw %d requests", n, len(seen))
	}
}

// TestKafkaProxy: a client that bootstraps from the proxy never talks past it,
// and a lost answer is one that the broker acted on.
func TestKafkaProxy(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(4, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	k, err := NewKafka(func() string { return cluster.ListenAddrs()[0] })
	if err != nil {
		t.Fatal(err)
	}
	running(t, k.Run)
	direct := map[string]bool{}
	for _, addr := range cluster.ListenAddrs() {
		direct[addr] = true
	}
	past := make(chan string, 10)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr()), kgo.DefaultProduceTopic("t"), kgo.ConsumeTopics("t"), kgo.ConsumerGroup("g"),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if direct[addr] {
				past <- addr
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	produce := func() {
		for range 8 {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord("v")).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	produce()
	k.LoseAnswer(kmsg.Produce.Int16(), 2)
	produce() // idempotent: sent again and written once
	if lost := k.Lost()["Produce"]; lost != 2 {
		t.Errorf("%d answers to Produce were lost", lost)
	}
	if n := k.Reset(); n == 0 {
		t.Error("there was no connection to cut")
	}
	got := 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for got < 16 && ctx.Err() == nil {
		got += cl.PollFetches(ctx).NumRecords()
	}
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, "t")
	if err := errors.Join(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	written := int64(0)
	ends.Each(func(o kadm.ListedOffset) { written += o.Offset })
	if got != 16 || written != 16 {
		t.Errorf("%d records read, %d written, of 16", got, written)
	}
	if len(past) > 0 {
		t.Errorf("the client talked past the proxy, to %s", <-past)
	}
}
