package lake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// Table is a table that is loaded from a topic.
type Table struct {
	Name  string
	Topic string
	// Latest: the topic is compacted. Its records come and go, so only the
	// latest record of each key is sure to be a row, which is what Verify asks.
	Latest bool

	newest string // the column that says how new a row is
	key    string // the column of the key of a compacted topic
}

// Tables returns the tables that are loaded from topics, the hottest first.
func Tables() []Table {
	return []Table{
		{Name: "prices", Topic: schemas.TopicPrices, newest: "event_time"},
		{Name: "prices_rejected", Topic: schemas.TopicRejected, newest: "fetched_at"},
		{Name: "polls", Topic: schemas.TopicPolls, newest: "finished_at"},
		{Name: "responses", Topic: schemas.TopicResponses, newest: "fetched_at"},
		{Name: "dead_letters", Topic: schemas.TopicDeadLetters, newest: "failed_at"},
		{Name: "instruments_history", Topic: schemas.TopicInstruments, Latest: true, newest: "defined_at", key: "instrument"},
		{Name: "calls_history", Topic: schemas.TopicCalls, Latest: true, newest: "defined_at", key: "call_id"},
	}
}

// Transform is the version of what makes rows of records. It grows when the same
// record would make another row than before.
const Transform = 1

// Compacted says whether a topic is compacted.
func Compacted(topic string) bool {
	t, err := tableOf(topic)
	return err == nil && t.Latest
}

func tableNames() []string {
	ts := Tables()
	names := make([]string, len(ts))
	for i := range ts {
		names[i] = ts[i].Name
	}
	return names
}

// tableOf returns the table that is loaded from the topic.
func tableOf(topic string) (Table, error) {
	for _, t := range Tables() {
		if t.Topic == topic {
			return t, nil
		}
	}
	return Table{}, fmt.Errorf("no table is loaded from topic %q", topic)
}

// Decoders read the values of the topics' records.
type Decoders struct {
	Prices      RowReader // the hot path: no price is made
	Rejected    sinks.Decoder[schemas.PriceRejected]
	Polls       sinks.Decoder[schemas.PollFinished]
	Responses   sinks.Decoder[schemas.ResponseReceived]
	DeadLetters sinks.Decoder[schemas.DeadLetter]
	Instruments sinks.Decoder[schemas.InstrumentDefined]
	Calls       sinks.Decoder[schemas.CallDefined]
}

// loader makes rows of the records of one topic. Its methods may be called in
// parallel.
type loader interface {
	// load makes the blocks of native data of a block of records, one for each
	// partition of the table. Records that cannot be rows are left out: the error
	// names them then, as that of a sinks.Writer.
	load(ctx context.Context, b sinks.Block, base origin) ([]part, error)
}

// loaders returns the loader of each topic. unknown is told of rows whose record
// has fields that no column takes.
func (d *Decoders) loaders(retention Retention, unknown func(table string, fields []string)) map[string]loader {
	return map[string]loader{
		schemas.TopicPrices:      newFieldTable("prices", priceFields(), d.Prices, "event_time", "fetched_at", unknown),
		schemas.TopicRejected:    newTable("prices_rejected", rejected, plain(d.Rejected), func(r *schemas.PriceRejected) time.Time { return r.FetchedAt }),
		schemas.TopicPolls:       newTable("polls", polls, plain(d.Polls), func(p *schemas.PollFinished) time.Time { return p.FinishedAt }),
		schemas.TopicResponses:   newTable("responses", responses(retention), plain(d.Responses), func(r *schemas.ResponseReceived) time.Time { return r.FetchedAt }),
		schemas.TopicDeadLetters: newTable("dead_letters", deadLetters, plain(d.DeadLetters), func(l *schemas.DeadLetter) time.Time { return l.FailedAt }),
		schemas.TopicInstruments: newTable("instruments_history", instruments, defined(d.Instruments, func(key string, at time.Time) schemas.InstrumentDefined {
			return schemas.InstrumentDefined{Instrument: key, DefinedAt: at}
		}), nil),
		schemas.TopicCalls: newTable("calls_history", calls, defined(d.Calls, func(key string, at time.Time) schemas.CallDefined {
			return schemas.CallDefined{CallID: key, DefinedAt: at}
		}), nil),
	}
}

// read makes a T of a record. Its error is that of sinks.Decoder.
type read[T any] func(ctx context.Context, r *stream.Record, v *T) error

func plain[T any](d sinks.Decoder[T]) read[T] {
	return func(ctx context.Context, r *stream.Record, v *T) error { return d.Decode(ctx, r.Value, v) }
}

// defined reads the records of a compacted topic, whose null value says that
// the key was removed.
func defined[T any](d sinks.Decoder[T], removed func(key string, at time.Time) T) read[definition[T]] {
	return func(ctx context.Context, r *stream.Record, v *definition[T]) error {
		if r.Value == nil {
			*v = definition[T]{value: removed(string(r.Key), r.Timestamp), removed: true}
			return nil
		}
		return d.Decode(ctx, r.Value, &v.value)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
