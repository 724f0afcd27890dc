// Package processors is what a processor is, and the stage that runs one between
// two topics: decode, Process, encode, publish. A processor knows nothing of
// brokers, transactions or offsets; the loop that does is internal/kafka's.
//
// One package per processor: normalize makes prices of answers, dedupe drops
// repeats and numbers revisions.
package processors

import (
	"context"
	"errors"

	"github.com/pricelake/pricelake/schemas"
)

// Processor turns one input into its outputs, without state of its own: what
// comes out depends only on the input and on what the input names (I4). A stage
// that remembers implements stream.Stage itself (see dedupe).
type Processor[In, Out any] interface {
	// Process is called by the stage of every assigned partition, in parallel
	// between partitions and in offset order within one. ctx ends with the
	// assignment. in, and all it points to, belongs to Process until it returns.
	//
	// No output and no error: the input is filtered, which is counted. An error
	// made by Reject: the input is wrong and will be for ever; it becomes a dead
	// letter and the partition goes on. Any other error: try again; nothing of
	// the batch is published and it comes again after a pause. The outputs, in
	// the order in which they are to be published, belong to the caller.
	Process(ctx context.Context, in In) ([]Out, error)
}

// Func adapts a function to a Processor.
type Func[In, Out any] func(ctx context.Context, in In) ([]Out, error)

// Process calls f.
func (f Func[In, Out]) Process(ctx context.Context, in In) ([]Out, error) { return f(ctx, in) }

// Decoder reads the value of a record into a zero T.
type Decoder[T any] interface {
	// Decode is called in parallel. Bytes that can never be read are an error
	// made by Reject; any other error (a registry that does not answer) means
	// try again. What v points to may share wire's memory.
	Decode(ctx context.Context, wire []byte, v *T) error
}

// Encoder writes the value of a record.
type Encoder[T any] interface {
	// Append appends the bytes of v to dst and returns the longer slice. It is
	// called in parallel and needs nothing but v, so its error is final: v
	// breaks a rule of its schema.
	Append(dst []byte, v *T) ([]byte, error)
}

// rejection is an error that no repetition will cure.
type rejection struct {
	reason schemas.DeadReason
	err    error
}

func (r *rejection) Error() string { return r.err.Error() }
func (r *rejection) Unwrap() error { return r.err }

// Reject marks err as final: the input it came from becomes a dead letter with
// the reason, whatever wraps it on its way up. A nil err stays nil.
func Reject(reason schemas.DeadReason, err error) error {
	if err == nil {
		return nil
	}
	return &rejection{reason: reason, err: err}
}

// Rejected returns the reason given to Reject, and whether err has one.
func Rejected(err error) (schemas.DeadReason, bool) {
	var r *rejection
	if errors.As(err, &r) {
		return r.reason, true
	}
	return schemas.DeadUnknown, false
}
