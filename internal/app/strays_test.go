package app

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pricelake/pricelake/schemas/avro"
)

// Records of a schema that does not exist are given up while they are few among
// others; where they are most, the topic waits. Bytes that are no record at all are
// always given up, and a registry that is away never gives up anything.
func TestStrays(t *testing.T) {
	s := new(strays)
	gone, foreign := fmt.Errorf("reading: %w", avro.ErrNoSchema), fmt.Errorf("reading: %w (%w)", avro.ErrBadRecord, avro.ErrUnreadable)
	for i := range 1_000_000 {
		err, final := error(nil), false
		switch i % 100 {
		case 50:
			err, final = gone, true
		case 99:
			err, final = foreign, true
		case 7:
			err, final = fmt.Errorf("reading: %w", avro.ErrBadRecord), true
		case 8:
			err = avro.ErrUnavailable
		case 9:
			err = errors.Join(avro.ErrNotFound)
		}
		if got := s.final(err); got != final {
			t.Fatalf("record %d: %v is final: %v", i, err, got)
		}
	}
	given := 0
	for s.final(gone) {
		if given++; given > straysMemory {
			t.Fatal("a topic of nothing but strays is given up")
		}
	}
	if given < fewStrays {
		t.Errorf("the topic waits after %d strays", given)
	}
	// Each try reads what lies before them again.
	for range 10 * straysMemory {
		s.final(nil)
	}
	if s.final(gone) {
		t.Error("tries outvote what is wrong for all")
	}
	if !s.final(avro.ErrBadRecord) {
		t.Error("bytes that are no record wait")
	}
	s = new(strays)
	for i := range 2 * fewStrays {
		if got := s.final(gone); got != (i < fewStrays) {
			t.Fatalf("of strays from the beginning, number %d is final: %v", i, got)
		}
	}
}
