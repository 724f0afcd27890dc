package poller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

const (
	// shortErrorBytes bounds the error of a record that something had to be
	// left out of.
	shortErrorBytes = 512
	// headerOverhead covers the framing of one header of a record.
	headerOverhead = 10
	// batchOverhead covers the framing of a record and of the batch it is alone
	// in.
	batchOverhead = 256
)

// defaultMaxRecordBytes are the limits of topics as they are created.
func defaultMaxRecordBytes(topic string) int {
	switch topic {
	case schemas.TopicResponses:
		return recordLimit - batchOverhead
	case schemas.TopicDeadLetters:
		return recordLimit + 1<<20 - batchOverhead
	}
	return 1<<20 - batchOverhead
}

// sizeOf is what a record takes of its topic's limit.
func sizeOf(r *stream.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + headerOverhead
	}
	return n
}

// cut makes a T smaller by something that can be missed.
type cut[T any] struct {
	what  string // is left out
	apply func(*T)
}

// fit encodes v, and while the record is above limit applies one more cut, in
// order: the same v always becomes the same record. text is v's error, which
// says what was left out. The record may still be above limit at the end.
func fit[T any](v *T, text *string, limit int, cuts []cut[T], encode func() (stream.Record, error)) (r stream.Record, left []string, err error) {
	full := *text
	r, err = encode()
	for _, c := range cuts {
		if err != nil || sizeOf(&r) <= limit {
			break
		}
		left = append(left, c.what)
		c.apply(v)
		*text = strings.TrimPrefix(fmt.Sprintf("%s; left out, for the record to fit into %d bytes: %s",
			clip(full, shortErrorBytes), limit, strings.Join(left, ", ")), "; ")
		r, err = encode()
	}
	return r, left, err
}

// finishedCuts are what the outcome of a poll can do without. The counts stay.
func finishedCuts() []cut[schemas.PollFinished] {
	return []cut[schemas.PollFinished]{
		{"the reasons of the symbols", func(f *schemas.PollFinished) {
			f.Symbols = slices.Clone(f.Symbols) // they may belong to the reader
			for i := range f.Symbols {
				f.Symbols[i].Reason = ""
			}
		}},
		{"the errors of the attempts", func(f *schemas.PollFinished) {
			for i := range f.Attempts {
				f.Attempts[i].Error = ""
			}
		}},
		{"the symbols", func(f *schemas.PollFinished) { f.Symbols = nil }},
	}
}

// deadLetterCuts are what a dead letter can do without. Its bytes are never cut
// in part: what is there is what the record had.
func deadLetterCuts() []cut[schemas.DeadLetter] {
	return []cut[schemas.DeadLetter]{
		{"the end of a long error", func(*schemas.DeadLetter) {}},
		{"the value (it cannot be replayed from here; read it at its origin)", func(d *schemas.DeadLetter) { d.Value = nil }},
		{"the call id", func(d *schemas.DeadLetter) { d.CallID = "" }},
		{"the headers", func(d *schemas.DeadLetter) { d.Headers = map[string][]byte{} }},
		{"the key", func(d *schemas.DeadLetter) { d.Key = nil }},
	}
}
