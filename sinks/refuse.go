package sinks

import (
	"errors"
	"fmt"

	"github.com/pricelake/pricelake/schemas"
)

// Refusal says that one record, at an index of its block, will never be a row.
type Refusal struct {
	Index  int
	Reason schemas.DeadReason
	Err    error
}

// RefusedError is an error that no repetition will cure. Make it with Refuse or
// RefuseRecords.
type RefusedError struct {
	// Reason of a refusal that names no records.
	Reason schemas.DeadReason
	// Records are the refused ones in order of their index; empty means that
	// the block was refused as a whole, and which records are at fault is to be
	// found out.
	Records []Refusal
	// Written says of a refusal that names records that all others of the block
	// are durable. Otherwise they have to be written again, under the same name.
	Written bool
	// Suspect is the index of the record that the store blames for a refusal
	// that names none for sure; -1: it blames none.
	Suspect int
	err     error
}

// Error implements error.
func (e *RefusedError) Error() string {
	if len(e.Records) == 0 {
		return e.err.Error()
	}
	return fmt.Sprintf("%d records refused, the first: %v", len(e.Records), e.Records[0].Err)
}

// Unwrap returns the cause, of the first record if records are named.
func (e *RefusedError) Unwrap() error {
	if len(e.Records) == 0 {
		return e.err
	}
	return e.Records[0].Err
}

// Refuse marks err as final. A Decoder says with it that the bytes can never be
// read, a Writer that the block as a whole is refused. A nil err stays nil.
func Refuse(reason schemas.DeadReason, err error) error {
	if err == nil {
		return nil
	}
	return &RefusedError{Reason: reason, Suspect: -1, err: err}
}

// RefuseSuspect is Refuse for a Writer whose store blames the record at an index of
// the block. Its word is checked before the record is given up.
func RefuseSuspect(reason schemas.DeadReason, index int, err error) error {
	if err == nil {
		return nil
	}
	return &RefusedError{Reason: reason, Suspect: index, err: err}
}

// RefuseRecords is the error of a Writer that knows which records of the block
// are at fault. It says nothing about the others: set Written where they are there.
// Nil when rs is empty.
func RefuseRecords(rs []Refusal) error {
	if len(rs) == 0 {
		return nil
	}
	return &RefusedError{Reason: rs[0].Reason, Records: rs, Suspect: -1}
}

// Refused returns the refusal in err's chain, if there is one.
func Refused(err error) (*RefusedError, bool) {
	var e *RefusedError
	ok := errors.As(err, &e)
	return e, ok
}

// BurnedError says that the store knows the name of a block, but not its rows: a
// write that left nothing has used the name up. The rows have to be written
// under another.
type BurnedError struct{ err error }

// Error implements error.
func (e *BurnedError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *BurnedError) Unwrap() error { return e.err }

// Burned marks err as that of a name that is used up. A nil err stays nil.
func Burned(err error) error {
	if err == nil {
		return nil
	}
	return &BurnedError{err}
}

// IsBurned says whether err's chain holds a BurnedError.
func IsBurned(err error) bool {
	var e *BurnedError
	return errors.As(err, &e)
}

// DoubledError says that offsets of a range have more rows than one.
type DoubledError struct {
	Range
	Offsets Offsets
}

// Error implements error.
func (e *DoubledError) Error() string {
	text, _ := runsText(&e.Offsets, 0, 200)
	return fmt.Sprintf("%d offsets of %v have more rows than one: %s", e.Offsets.Count(), e.Range, text)
}
