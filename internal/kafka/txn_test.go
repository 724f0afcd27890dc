package kafka_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (c *cluster) txn(t *testing.T, id string) *kafka.Txn {
	t.Helper()
	x, err := kafka.NewTxn(c.config(t), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

func testTxn(t *testing.T, c *cluster) {
	one, two, id := c.topic(t, 1), c.topic(t, 1), c.name(t)
	pair := func(v string) []stream.Record {
		return []stream.Record{{Topic: one, Value: []byte(v)}, {Topic: two, Value: []byte(v)}}
	}
	first := c.txn(t, id)
	if err := first.Publish(t.Context(), pair("a")...); err != nil {
		t.Fatal(err)
	}
	second := c.txn(t, id)
	if err := second.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // for ever, not only once
		if err := first.Publish(t.Context(), pair("fenced")...); !errors.Is(err, kafka.ErrFenced) {
			t.Errorf("publishing after a later holder took over: %v, want ErrFenced", err)
		}
	}
	if err := second.Publish(t.Context(), pair("b")...); err != nil {
		t.Errorf("the later holder: %v", err)
	}
	// One record that does not fit, and the other is not there either.
	large := append(pair("torn"), stream.Record{Topic: one, Value: make([]byte, 2<<20)})
	if err := second.Publish(t.Context(), large...); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("publishing a record above the limit: %v, want ErrTooLarge", err)
	}
	if err := second.Publish(t.Context(), pair("c")...); err != nil {
		t.Errorf("after an aborted transaction: %v", err)
	}
	for _, topic := range []string{one, two} {
		if got := c.all(t, topic)[0]; !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("%s holds %q, want a, b, c", topic, got)
		}
	}
	second.Close()
	if err := second.Publish(t.Context(), pair("closed")...); err == nil {
		t.Error("publishing after Close succeeds")
	}
}

func testTxnFaults(t *testing.T, c *cluster) {
	if c.fake == nil {
		t.Skip("a real broker cannot be told to fail")
	}
	topic := c.topic(t, 1)
	x := c.txn(t, c.name(t))
	c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError})
	err := x.Publish(t.Context(), stream.Record{Topic: topic, Value: []byte("a")})
	if !errors.Is(err, kafka.ErrOutcomeUnknown) || errors.Is(err, kafka.ErrFenced) {
		t.Errorf("a commit answered with UNKNOWN_SERVER_ERROR: %v, want ErrOutcomeUnknown", err)
	}
	if err := x.Publish(t.Context(), stream.Record{Topic: topic, Value: []byte("b")}); err != nil {
		t.Errorf("after it: %v", err)
	}
	if got := c.all(t, topic)[0]; !slices.Equal(got, []string{"b"}) {
		t.Errorf("the topic holds %q, want b: the broker had not committed a", got)
	}
}

// TestTxnWithoutAnswers: brokers that take no records, for whatever reason, hold a
// publication up for as long as a transaction may take, and the next one works once
// they do again.
func TestTxnWithoutAnswers(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]kmsg.Key{
		"to records":             {kmsg.Produce},
		"to ends":                {kmsg.EndTxn, kmsg.InitProducerID},
		"to records and to ends": {kmsg.Produce, kmsg.EndTxn, kmsg.InitProducerID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			topic := c.topic(t, 1)
			cfg := c.config(t)
			cfg.TransactionTimeout = 2 * time.Second
			x, err := kafka.NewTxn(cfg, c.name(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(x.Close)
			record := stream.Record{Topic: topic, Value: []byte("a")}
			eventually(t, "the first publication", func() bool { return x.Publish(t.Context(), record) == nil })
			away := c.fake.Fault(kfake.Fault{Keys: keys, Err: kerr.NotLeaderForPartition, Count: -1})
			for range 2 {
				began := time.Now()
				if err := x.Publish(t.Context(), record); err == nil || errors.Is(err, kafka.ErrFenced) {
					t.Errorf("publishing without answers: %v", err)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %s, a transaction may take %s", took, cfg.TransactionTimeout)
				}
			}
			away.Remove()
			eventually(t, "a publication, once there are answers again", func() bool {
				err := x.Publish(t.Context(), record)
				if errors.Is(err, kafka.ErrFenced) {
					t.Fatal(err)
				}
				return err == nil
			})
		})
	}
}
