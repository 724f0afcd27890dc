package processors_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// jsonCodec stands for the Avro codecs; bytes that are no JSON can never be
// read.
type jsonCodec[T any] struct{}

func (jsonCodec[T]) Decode(_ context.Context, wire []byte, v *T) error {
	return processors.Reject(schemas.DeadDecode, json.Unmarshal(wire, v))
}

func (jsonCodec[T]) Append(dst []byte, v *T) ([]byte, error) {
	p, err := json.Marshal(v)
	return append(dst, p...), err
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// batch makes a batch of partition 3 of topic "in" from the records' values.
func batch(values ...string) stream.Batch {
	b := stream.Batch{Topic: "in", TopicID: stream.TopicID{9}, Partition: 3}
	for i, v := range values {
		b.Records = append(b.Records, stream.Record{
			Topic: "in", TopicID: stream.TopicID{9}, Partition: 3, Offset: int64(100 + i), Timestamp: at.Add(time.Duration(i) * time.Second),
			Key: []byte("key"), Value: []byte(v),
		})
	}
	return b
}

// counters returns the metrics whose name begins with pricelake_processor_, by
// name and last label value, without those that are 0 and without histograms.
func counters(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() != "role" {
					name += " " + l.GetValue()
				}
			}
			if v := m.GetCounter().GetValue(); v != 0 {
				got[name] = v
			}
		}
	}
	return got
}
