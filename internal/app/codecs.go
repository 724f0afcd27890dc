package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// finalDecoder tells a stage in its own words that no repetition can make a
// value readable. Anything else, a registry that is away above all, is for
// trying again.
type finalDecoder[T any] struct {
	decoder[T]
	final func(error) error
}

func (d finalDecoder[T]) Decode(ctx context.Context, wire []byte, v *T) error {
	err := d.decoder.Decode(ctx, wire, v)
	if errors.Is(err, avro.ErrBadRecord) {
		return d.final(err)
	}
	return err
}

// wrapping makes the mark of a package whose final errors wrap a sentinel.
func wrapping(sentinel error) func(error) error {
	return func(err error) error { return fmt.Errorf("%w: %w", sentinel, err) }
}

// rejecting is the mark of the processors: the record becomes a dead letter.
func rejecting(err error) error { return processors.Reject(schemas.DeadDecode, err) }
