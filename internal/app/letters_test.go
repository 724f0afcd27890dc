package app

import (
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// letterRig is a cluster with topics and schemas, a process that looks at it, and
// what writes dead letters as no role would.
type letterRig struct {
	*rig
	*App
	log      *kafka.Log
	producer *kafka.Producer
	letters  *avro.Codec[schemas.DeadLetter]
}

func newLetterRig(t *testing.T) *letterRig {
	t.Helper()
	r := newRig(t)
	r.startPipes()
	l := &letterRig{rig: r, App: r.app("")}
	var err error
	if l.producer, err = kafka.NewProducer(l.kafkaConfig("test")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.producer.Close)
	if l.log, err = l.kafkaLog(); err != nil {
		t.Fatal(err)
	}
	if l.letters, err = codec[schemas.DeadLetter](t.Context(), l.App, schemas.TopicDeadLetters); err != nil {
		t.Fatal(err)
	}
	return l
}

// letter is a record of the topic of dead letters.
func (r *letterRig) letter(d schemas.DeadLetter) stream.Record {
	r.t.Helper()
	wire, err := r.letters.Append(nil, &d)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream.Record{Topic: schemas.TopicDeadLetters, Key: []byte("k"), Value: wire}
}

func (r *letterRig) publish(records ...stream.Record) {
	r.t.Helper()
	if err := r.producer.Publish(r.t.Context(), records...); err != nil {
		r.t.Fatal(err)
	}
}

// topicID is the identity of a topic, as letters name it.
func (r *letterRig) topicID(topic string) schemas.ID {
	r.t.Helper()
	id, _, err := r.log.Describe(r.t.Context(), topic)
	if err != nil {
		r.t.Fatal(err)
	}
	return schemas.ID(id)
}
