package kafka_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
)

// testTransactBytes: however many records wait, one transaction takes no more of
// them than their size allows, so that what is made of them has a bound too.
func testTransactBytes(t *testing.T, c *cluster) {
	const records, large, most = 300, 20 << 10, 100 << 10
	in, out, group := c.topic(t, 1), c.topic(t, 1), c.name(t)
	value := bytes.Repeat([]byte("x"), large)
	rs := make([]stream.Record, records)
	for i := range rs {
		rs[i] = stream.Record{Topic: in, Value: value}
	}
	if err := c.producer(t).Publish(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	var largest, shared atomic.Int64
	stage := stream.StageFunc(func(_ context.Context, b stream.Batch) (o stream.Output, err error) {
		if n := int64(len(b.Records)); n > 1 {
			shared.Add(n)
			largest.Store(max(largest.Load(), n*large))
		}
		for range b.Records {
			o.Records = append(o.Records, stream.Record{Topic: out, Value: []byte("1")})
		}
		return o, nil
	})
	tr := c.transact(t, group, in, 1)
	tr.MaxRecords, tr.MaxBytes = 2*records, most
	l := start(t, func(ctx context.Context) error {
		return tr.Run(ctx, func(context.Context, stream.TopicPartition) (stream.Stage, error) { return stage, nil })
	})
	eventually(t, "every record to be passed on", func() bool { return c.committed(t, group, in)[0] >= records })
	l.stop(t)
	if n := len(c.all(t, out)[0]); n != records {
		t.Errorf("%d records became %d", records, n)
	}
	if largest.Load() > most {
		t.Errorf("a transaction took %d bytes, at most %d are allowed", largest.Load(), most)
	}
	if shared.Load() < records/2 {
		t.Errorf("only %d of %d records shared a transaction: each has one to itself", shared.Load(), records)
	}
}
