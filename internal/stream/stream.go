// Package stream is the vocabulary between the stages of the path and the
// broker: records, batches, and the seams a stage or a sink implements. It
// knows no client library; internal/kafka is the one implementation that talks
// to a broker.
package stream

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// TopicID is the broker's id of a topic (KIP-516). It changes when a topic is
// deleted and created again under the same name, so it, not the name, is part
// of every row's lineage.
type TopicID [16]byte

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// AnyPartition in Record.Partition leaves the choice to the key's hash.
const AnyPartition int32 = -1

// Record is one record of a topic. On input every field is set. On output
// Offset, Timestamp and TopicID are ignored, and Partition may be AnyPartition.
//
// Key, Value and Headers of an input record belong to the receiver until it
// returns from the call that handed them over; copy what outlives that.
type Record struct {
	Topic     string
	TopicID   TopicID
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header returns the value of the first header with the key, nil if none.
func (r *Record) Header(key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}

// Clone is a copy that shares no memory with r.
func (r *Record) Clone() Record {
	c := *r
	c.Key, c.Value, c.Headers = slices.Clone(r.Key), slices.Clone(r.Value), slices.Clone(r.Headers)
	for i := range c.Headers {
		c.Headers[i].Value = slices.Clone(c.Headers[i].Value)
	}
	return c
}

// RecordOverhead is what a record takes beside its bytes.
const RecordOverhead = 160

// Size is what a record counts against limits in bytes: the memory it takes.
func (r *Record) Size() int {
	n := len(r.Key) + len(r.Value) + RecordOverhead
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 8
	}
	return n
}

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Batch is a run of records of one partition in offset order. Offsets may have
// holes: transaction markers and aborted records take offsets too.
type Batch struct {
	Topic     string
	TopicID   TopicID
	Partition int32
	Records   []Record
}

// Output is what a stage makes of one batch. All of it is published in the
// transaction that also commits the batch's offsets, or none of it. It belongs to
// the loop from then on.
type Output struct {
	Records []Record
	// Committed, when set, is called once after that transaction has
	// committed, with Records, their Partition, Offset and Timestamp set. It is not
	// called for an aborted transaction. An error ends the partition's stage;
	// it is opened anew from what is durable.
	Committed func(ctx context.Context, published []Record) error
}

// Stage turns the records of one partition into output records. One value
// serves one partition for one assignment; Handle and Close are called from one
// goroutine at a time. An error of Handle means nothing of the batch happened:
// the batch comes again, to this stage or to another.
type Stage interface {
	Handle(ctx context.Context, b Batch) (Output, error)
	Close() error
}

// OpenStage makes the stage of one partition when it is assigned, before its
// first batch. It may take long (a rebuild); ctx ends with the assignment.
type OpenStage func(ctx context.Context, tp TopicPartition) (Stage, error)

// StageFunc adapts a function without state to a Stage.
type StageFunc func(ctx context.Context, b Batch) (Output, error)

// Handle calls f.
func (f StageFunc) Handle(ctx context.Context, b Batch) (Output, error) { return f(ctx, b) }

// Close does nothing.
func (f StageFunc) Close() error { return nil }

// Log reads a topic outside any group, for rebuilds, look-ups and tools. It may
// be used in parallel.
type Log interface {
	// ReadCommitted calls each with every committed record of the partition
	// from offset from up to its end as it was at the call. It takes the high
	// watermark, waits until the last stable offset has reached it (markers
	// of an open transaction land one by one), and returns that watermark.
	// Records of aborted transactions are left out. from below the first
	// retained offset starts at that.
	ReadCommitted(ctx context.Context, tp TopicPartition, from int64, each func(Record) error) (next int64, err error)
	// Bounds returns the first retained offset and the high watermark.
	Bounds(ctx context.Context, tp TopicPartition) (first, end int64, err error)
	// Describe returns the id and the number of partitions of a topic.
	Describe(ctx context.Context, topic string) (id TopicID, partitions int32, err error)
}

// Publisher appends records outside a transaction and returns when all are
// acknowledged by all replicas. It may be used in parallel. On an error some
// of the records may have been written.
type Publisher interface {
	Publish(ctx context.Context, rs ...Record) error
}

// Reread calls each with the committed records of [first,last], as far as the log
// still holds them, in order. Each may keep a record; its error ends the reading and
// is returned.
type Reread func(ctx context.Context, first, last int64, each func(Record) error) error

// All returns the records, which take what a range of them takes.
func (r Reread) All(ctx context.Context, first, last int64) (all []Record, err error) {
	err = r(ctx, first, last, func(one Record) error {
		all = append(all, one)
		return nil
	})
	return all, err
}

// Claim is one partition handed to a sink for the time of one assignment.
type Claim struct {
	TopicPartition
	TopicID TopicID
	// Committed is the next offset the group would read: everything below is
	// settled. Metadata is the text committed with it (an open intent, or
	// empty).
	Committed int64
	Metadata  string
	// Reread reads the partition again. Nil only where no intent is open and nothing
	// is gathered.
	Reread Reread
	// Intend is for what a predecessor left open; see Intend.
	Intend Intend
}

// Intend commits offset first together with metadata (at most 1 KiB), fenced by
// the group's generation: after it returned nil no earlier owner can settle
// anything of the partition any more. It says that everything below first is
// settled, so the intent of one batch settles the batch before.
type Intend func(ctx context.Context, first int64, metadata string) error

// RangeSink writes ranges of one claimed partition. Open's successor calls come
// from one goroutine. Write returns nil only when every record of the batch is
// durable (or was already, or is in the dead letters); an error means the
// outcome is unknown and the same batch comes again, to this sink or, after
// another Open, to another. A *QuarantineError ends the work on the partition.
// ctx of Write ends when the assignment does.
//
// A batch for which Write has intended is settled by the intent of the next one,
// or plainly when there is none for a while or the assignment ends. One without
// is settled at once.
type RangeSink interface {
	Write(ctx context.Context, b Batch, intend Intend) error
	Close() error
}

// Gatherer is a RangeSink that may be handed records as they come, before it is
// known where their range ends, so that nobody has to hold them until then. Gather
// and WriteGathered are called from the goroutine that calls Write.
type Gatherer interface {
	RangeSink
	// Gather takes the first of the batch's records, which come after all before,
	// and returns how many, and the memory of all that is gathered. Those it does
	// not take are for a Write, once what is gathered is written. Nothing of the
	// records is used after it has returned.
	Gather(ctx context.Context, b Batch) (taken, bytes int)
	// WriteGathered is Write of the range of all records that were gathered since
	// the last one, which are gone once it returns nil. After an error it is called
	// again, and nothing else but Close.
	WriteGathered(ctx context.Context, intend Intend) error
}

// OpenRange claims one partition for a sink: it ends what a predecessor may
// still be writing, finds out what of the range from Committed on is already
// there, and finishes the range of an open intent. Its errors are those of
// RangeSink.Write.
type OpenRange func(ctx context.Context, c Claim) (sink RangeSink, err error)

// QuarantineError says that nobody can go on with a partition without guessing:
// a person has to look. It names the gap as exactly as it is known.
type QuarantineError struct {
	TopicPartition
	// First and Last are the offsets that are in question, both included.
	First, Last int64
	// Reason says what was expected and what was found.
	Reason string
}

// Error implements error.
func (e *QuarantineError) Error() string {
	return fmt.Sprintf("%s[%d]@%d-%d: %s", e.Topic, e.Partition, e.First, e.Last, e.Reason)
}

// Result is what the work of one record of a Window brought.
type Result struct {
	// Records are published in the transaction that also commits that the record
	// is done, or none of them.
	Records []Record
	// Committed, when set, is called once after that transaction has committed,
	// from one goroutine of the partition. It is not called when nobody here can
	// say whether it has: the next owner of the partition finds out.
	Committed func()
}

// WindowHandler does the work of one record of a Window: requests finish out of
// order. An error means nothing happened; the record is handed over again. It is
// called from many goroutines. ctx ends when the process stops or the partition
// moves: what is under way may still be finished then, within the loop's drain
// timeout, and nothing begun.
type WindowHandler func(ctx context.Context, r Record) (Result, error)
