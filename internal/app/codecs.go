package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// finalDecoder tells a stage in its own words that no repetition can make a
// value readable. Anything else, a registry that is away above all, is for
// trying again.
type finalDecoder[T any] struct {
	decoder[T]
	final  func(error) error
	strays *strays
}

func (d finalDecoder[T]) Decode(ctx context.Context, wire []byte, v *T) error {
	err := d.decoder.Decode(ctx, wire, v)
	if d.strays.final(err) {
		return d.final(err)
	}
	return err
}

// strays tells records that strayed into a topic of a processor from a schema that
// is wrong for all of it. A record whose schema does not exist is a dead letter as
// any other that cannot be read. Where most records are such, the mistake is that
// of a deployment: nobody is helped by a topic in the dead letters,
// so the partition waits, and says why. The zero value is ready, and may be used in
// parallel.
type strays struct {
	seen atomic.Bool  // some have come: before, nothing is counted
	read atomic.Int64 // since then

	mu      sync.Mutex
	strayed int64
	most    bool // what is read is wrong for all
}

const (
	// fewStrays are never too many.
	fewStrays = 100
	// straysMemory bounds how many records are remembered: what was read before
	// says nothing about the deployment of today.
	straysMemory = 1000
)

// final is told what came of reading a record and says whether it is to be given
// up.
func (s *strays) final(err error) bool {
	switch {
	case err == nil:
		if s.seen.Load() {
			s.read.Add(1)
		}
		return false
	case errors.Is(err, avro.ErrBadRecord):
		return true
	case !errors.Is(err, avro.ErrNoSchema):
		return false
	}
	s.seen.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	read := s.read.Load()
	s.strayed++
	if all := read + s.strayed; all > straysMemory {
		s.strayed, read = s.strayed*straysMemory/2/all, read*straysMemory/2/all
		s.read.Store(read)
	}
	// Once it is so it stays so: the records before come again with each try, and
	// would outvote the others in time.
	s.most = s.most || s.strayed > fewStrays && s.strayed > read
	return !s.most
}

// wrapping makes the mark of a package whose final errors wrap a sentinel.
func wrapping(sentinel error) func(error) error {
	return func(err error) error { return fmt.Errorf("%w: %w", sentinel, err) }
}

// rejecting is the mark of the processors: the record becomes a dead letter.
func rejecting(err error) error { return processors.Reject(schemas.DeadDecode, err) }
