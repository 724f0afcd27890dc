package sinktest

import (
	"context"

	"github.com/pricelake/pricelake/internal/stream"
)

// Log is how records are read again of a log that holds what of says each time.
func Log(of func() []stream.Record) stream.Reread {
	return func(_ context.Context, first, last int64, each func(stream.Record) error) error {
		for _, r := range of() {
			if r.Offset < first || r.Offset > last {
				continue
			}
			if err := each(r); err != nil {
				return err
			}
		}
		return nil
	}
}
