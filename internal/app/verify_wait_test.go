package app

import (
	"context"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// A lake that is paused, or a partition that stands still, is not waited for: it
// would be for ever, and without a word.
func TestVerifyDoesNotWaitForWhatDoesNotGoOn(t *testing.T) {
	r := newRig(t)
	r.startBroker()
	a := r.app("")
	if _, err := kafka.ApplyTopics(t.Context(), a.kafkaConfig("test"), kafka.Topics(a.profile)); err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(a.kafkaConfig("test"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Publish(t.Context(), stream.Record{Topic: schemas.TopicPrices, Value: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	v := verifier{paused: func(context.Context) (string, error) { return "paused by somebody", nil }}
	if v.log, err = a.kafkaLog(); err != nil {
		t.Fatal(err)
	}
	if v.admin, err = kafka.NewAdmin(a.kafkaConfig("test")); err != nil {
		t.Fatal(err)
	}
	defer v.admin.Close()
	positions, err := v.admin.Positions(t.Context(), lakeGroup, schemas.TopicPrices)
	if err != nil {
		t.Fatal(err)
	}
	waited := 0
	for _, p := range positions {
		if p.End == 0 {
			continue
		}
		waited++
		if _, err := v.await(t.Context(), p); err == nil || !strings.Contains(err.Error(), "the role is paused by somebody") {
			t.Errorf("waiting for a lake that is paused: %v", err)
		}
		p.Stopped = "it was made again"
		if _, err := v.await(t.Context(), p); err != nil {
			t.Errorf("waiting for a partition that stands still: %v", err)
		}
	}
	if waited != 1 {
		t.Errorf("%d partitions were waited for, want the one with a record", waited)
	}
}
