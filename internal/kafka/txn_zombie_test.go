package kafka_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// testTxnZombie: two holders of one shard cannot both ask for a slot, wherever the
// first was frozen. Each takes the id over, reads the last slot that was asked for,
// and asks for the next one: request and slot in one transaction.
func testTxnZombie(t *testing.T, c *cluster) {
	c.log(t) // outlives the tests within
	points := kafka.TxnPoints{Begun: failpoint.SchedulerTxnBegun, Produced: failpoint.SchedulerProduced, Committed: failpoint.SchedulerCommitted}
	f := func(frozenAt failpoint.Point, wantFenced bool, slots ...string) {
		t.Run(string(frozenAt), func(t *testing.T) {
			t.Parallel()
			requests, asked, id := c.topic(t, 1), c.topic(t, 1), c.name(t)
			hold := func(cfg kafka.Config) *kafka.Txn {
				t.Helper()
				x, err := kafka.NewTxn(cfg, id, kafka.WithTxnPoints(points))
				if err == nil {
					t.Cleanup(x.Close)
					err = x.Open(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				return x
			}
			next := func() []byte { return fmt.Appendf(nil, "slot %d", len(c.all(t, asked)[0])) }
			ask := func(x *kafka.Txn, slot []byte) error {
				return x.Publish(t.Context(), stream.Record{Topic: requests, Value: slot}, stream.Record{Topic: asked, Value: slot})
			}
			frozen := c.config(t)
			var err error
			if frozen.Failpoints, err = failpoint.Parse(string(frozenAt) + "=delay:2s@2"); err != nil {
				t.Fatal(err)
			}
			first := hold(frozen)
			if err := ask(first, next()); err != nil {
				t.Fatal(err)
			}
			thawed := make(chan error, 1)
			slot := next()
			go func() { thawed <- ask(first, slot) }()
			time.Sleep(500 * time.Millisecond) // it is frozen by now
			second := hold(c.config(t))
			if err := ask(second, next()); err != nil {
				t.Errorf("the second holder: %v", err)
			}
			if err := <-thawed; errors.Is(err, kafka.ErrFenced) != wantFenced {
				t.Errorf("the first, thawed: %v", err)
			}
			if err := ask(first, next()); !errors.Is(err, kafka.ErrFenced) {
				t.Errorf("the first, again: %v, want ErrFenced", err)
			}
			for _, topic := range []string{requests, asked} {
				if got := c.all(t, topic)[0]; fmt.Sprint(got) != fmt.Sprint(slots) {
					t.Errorf("%s holds %q, want %q", topic, got, slots)
				}
			}
		})
	}
	f(failpoint.SchedulerTxnBegun, true, "slot 0", "slot 1")
	f(failpoint.SchedulerProduced, true, "slot 0", "slot 1")
	// What it had committed was there for the second to read.
	f(failpoint.SchedulerCommitted, false, "slot 0", "slot 1", "slot 2")
}
