// Package sinks is what a sink is, and the hand that feeds one: a Writer writes
// a block of records of one partition, an Auditor says what of a range is
// already there, a Fencer ends what an earlier writer may still be doing.
// Handler makes of the three a sink that writes every record exactly once,
// whatever is cut or killed: before a range is written its intent is committed
// beside the offset (Intent), and nothing is written again before the sink has
// been asked for it by lineage (topic id, partition, offset). What is done when
// is decided by a machine without I/O (machine.go).
//
// One package per sink; lake is ClickHouse. A sink knows no broker and no
// codec: records come in through stream.RangeSink, decoders and the publisher
// of dead letters as values.
package sinks

import (
	"cmp"
	"context"
	"fmt"
	"sort"

	"github.com/pricelake/pricelake/internal/stream"
)

// Partition is one partition of one topic. The id, not the name, is lineage: a
// topic created again under its name starts its offsets anew.
type Partition struct {
	Topic   string
	TopicID stream.TopicID
	Number  int32
}

// String returns the partition as people write it: topic[number].
func (p Partition) String() string { return fmt.Sprintf("%s[%d]", p.Topic, p.Number) }

// Range is the offsets First to Last, both included, of one partition. Not every
// offset of it need hold a record: transaction markers and aborted records take
// offsets too, so ranges are compared by the offsets really read and never by
// counting.
type Range struct {
	Partition
	First, Last int64
}

// String returns the range as people write it: topic[number]@first-last.
func (r Range) String() string { return fmt.Sprintf("%v@%d-%d", r.Partition, r.First, r.Last) }

// Block is records of one partition to be written together. Range, Epoch and
// Attempt name it: whoever writes the same records again under the same name
// adds nothing.
type Block struct {
	Range
	// Epoch is the filling of the sink; a rebuild begins a new one.
	Epoch uint32
	// Attempt tells apart blocks of one range when the name of an earlier one
	// is used up without its rows being there.
	Attempt int32
	// Records are in offset order, all within First and Last. They belong to the
	// writer until it returns. Whoever writes under one name leaves out only
	// what is there already or was refused.
	Records []stream.Record
	// Offsets are those of the records where only their rows are at hand (Pack),
	// and Records is nil.
	Offsets []int64
}

// Len is the number of records of the block.
func (b *Block) Len() int { return max(len(b.Records), len(b.Offsets)) }

// Offset is the offset of a record by its index.
func (b *Block) Offset(i int) int64 {
	if b.Records == nil {
		return b.Offsets[i]
	}
	return b.Records[i].Offset
}

// Index finds a record by its offset.
func (b *Block) Index(offset int64) (i int, found bool) {
	return sort.Find(b.Len(), func(i int) int { return cmp.Compare(offset, b.Offset(i)) })
}

// Writer writes blocks. Write is called by one goroutine per partition, in
// parallel between partitions; ctx ends with the assignment.
//
// Nil means that every record of the block is durable, written now or already
// there. Writing the same block again is a no-op. An error made by Refuse means
// that the records it names (all, if it names none) will never be accepted as
// they are; if it names records, the others are durable if it says Written, and
// are to be written again under the same name if not. One made by Burned means
// that the name is known but rows are missing. Any other error means that
// the outcome is unknown: any part of the block may be there, or may arrive until
// the partition is fenced.
type Writer interface {
	Write(ctx context.Context, b Block) error
}

// Auditor says what of a range is in the sink, by lineage. It sees everything
// that a Write which returned before has written. An offset that has two rows is
// a *DoubledError. It may be called in parallel.
// Last may be math.MaxInt64.
type Auditor interface {
	Present(ctx context.Context, r Range) (Offsets, error)
}

// Fencer ends the running writes of a partition, whoever began them, and
// returns when they have ended: what has not arrived by then never will.
type Fencer interface {
	Fence(ctx context.Context, p Partition) error
}

// Store is the three sides of one sink.
type Store interface {
	Writer
	Auditor
	Fencer
}

// Gathering is a Store that can make rows of records as they come, before it is
// known where their block ends: they take less memory than the records.
type Gathering interface {
	Store
	// Gather returns a pack for rows of a partition; nil when its topic's rows are
	// made block by block only.
	Gather(p Partition) Pack
}

// Pack is rows of one partition in the making. It is used by one goroutine.
type Pack interface {
	// Add makes rows of the first of some records, which come after those before,
	// and returns of how many, and which of these will never be rows, by their
	// index there and in its order. The one after them can not be read now; what
	// becomes of it Write of the store finds out. Nothing of the records is used
	// later.
	Add(ctx context.Context, rs []stream.Record) (taken int, bad []Refusal)
	// Bytes is the memory of the rows.
	Bytes() int
	// Write is Writer.Write of a block of all records that were added. Such a
	// block has Offsets. bad are the records that Add and Ask named, by their index
	// in the block: the error of Write names them too.
	Write(ctx context.Context, b Block, bad []Refusal) error
	// Whole says that no row was let go of by a Write: it may be called again.
	// Otherwise the block can only be made anew of its records.
	Whole() bool
	// Reset lets go of all rows. The pack may be used again.
	Reset()
}

// AskingPack is a Pack whose store can tell beforehand which rows it would refuse.
type AskingPack interface {
	Pack
	// Ask is called after each Add with the block of all records that were added; it
	// has Offsets, which stay the caller's. Now and then it has the store look at the
	// rows since, takes out those that would be refused, and names their records by
	// their index, each once in the life of a block. ok says that all rows were looked
	// at; bad counts either way. When ctx ends it says what it knows. Rows that are
	// refused all the same Write names.
	Ask(ctx context.Context, b Block) (bad []Refusal, ok bool)
}

// Decoder reads the value of a record into a zero T. It is called in parallel.
// Bytes that can never be read are an error made by Refuse; any other error (a
// registry that does not answer) means try again. What v points to may share
// wire's memory.
type Decoder[T any] interface {
	Decode(ctx context.Context, wire []byte, v *T) error
}
