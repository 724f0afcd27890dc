package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/servers"
)

// TestBrokers restarts each of three brokers under load, told to stop and killed:
// every price arrives once, and no partition is left standing. It does not
// overlap with other tests: it measures pauses.
func TestBrokers(t *testing.T) {
	notShort(t)
	cluster := servers.StartKafkaCluster(t, 3, servers.KafkaConfig{})
	f := startFleet(t, serverSiteAt(t, cluster.Nodes[0], cluster.Addrs()...), 4,
		"PRICELAKE_KAFKA_REPLICATION_FACTOR=3", "PRICELAKE_KAFKA_SESSION_TIMEOUT=10s", "PRICELAKE_KAFKA_TRANSACTION_TIMEOUT=10s")
	var procs []*proc
	for _, role := range path {
		procs = append(procs, f.run(role))
	}
	t.Cleanup(func() {
		for _, p := range procs {
			if t.Failed() {
				t.Logf("%s: %s", p.name, p.tells())
			}
		}
	})
	for _, p := range procs {
		p.ownsSome()
	}
	f.movesEverywhere(30 * time.Second)
	f.whole(len(cluster.Nodes))
	for i, k := range cluster.Nodes {
		f.restarts(fmt.Sprintf("broker %d, SIGTERM", i+1), len(cluster.Nodes), k.Stop, k.Start)
		f.restarts(fmt.Sprintf("broker %d, kill", i+1), len(cluster.Nodes), k.Kill, k.Start)
	}
	for _, p := range procs {
		select {
		case <-p.exited:
			t.Errorf("%s has ended: %v\n%s", p.name, p.err, tail(p.log))
		default:
		}
	}
	f.exactly(func() {})
}

// goesOnWithin bounds how long after the cluster is whole a partition may stand
// still: a transaction of 10 s, and what a restarted session takes.
const goesOnWithin = 15 * time.Second

// restarts ends a broker and starts it again, waits until the cluster is whole
// and everything moves, and says what that cost.
func (f *fleet) restarts(what string, nodes int, end, start func()) {
	f.t.Helper()
	began := time.Now()
	end()
	start()
	f.whole(nodes)
	whole := time.Now()
	var latest time.Duration
	for _, role := range path {
		for n := range f.partitions {
			p := place{role, n}
			eventually(f.t, goesOnWithin+30*time.Second, fmt.Sprintf("%v moves on after %s", p, what), func() error {
				after, ok := f.watch.after(p, whole)
				if !ok {
					return errors.New("it stands still")
				}
				if d := after.Sub(whole); d > goesOnWithin {
					f.t.Errorf("%s: %v stood still for %s of a whole cluster, want at most %s", what, p, d, goesOnWithin)
				}
				latest = max(latest, after.Sub(whole))
				return nil
			})
		}
	}
	var longest time.Duration
	var where place
	for _, role := range path {
		for n := range f.partitions {
			if d := f.watch.longestPause(place{role, n}, began, time.Now()); d > longest {
				longest, where = d, place{role, n}
			}
		}
	}
	f.t.Logf("%s: whole again after %s, everything moves %s later; the longest pause of a partition was %s (%v)",
		what, whole.Sub(began).Round(10*time.Millisecond), latest.Round(10*time.Millisecond), longest.Round(10*time.Millisecond), where)
}

// whole waits until every broker is there and every partition is on all of its
// replicas, with a leader.
func (f *fleet) whole(brokers int) {
	f.t.Helper()
	eventually(f.t, 60*time.Second, "the cluster is whole", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		m, err := f.watch.admin.Metadata(ctx)
		if err != nil {
			return err
		}
		if len(m.Brokers) != brokers {
			return fmt.Errorf("%d of %d brokers", len(m.Brokers), brokers)
		}
		for _, topic := range m.Topics {
			for _, p := range topic.Partitions {
				if p.Err != nil || p.Leader < 0 || len(p.Replicas) != brokers || len(p.ISR) != len(p.Replicas) {
					return fmt.Errorf("%s/%d: leader %d, %v of %v in sync: %w", p.Topic, p.Partition, p.Leader, p.ISR, p.Replicas, p.Err)
				}
			}
		}
		return nil
	})
}
