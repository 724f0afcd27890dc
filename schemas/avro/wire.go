package avro

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrBadRecord marks bytes that are no record of the schema they claim. Trying
// again does not help.
var ErrBadRecord = errors.New("not a readable record")

const (
	wireMagic  = 0
	wireHeader = 5 // magic and schema id
)

func appendHeader(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, wireMagic), id)
}

// splitWire returns the writer schema's id and the Avro body.
func splitWire(wire []byte) (id int, body []byte, err error) {
	if len(wire) < wireHeader {
		return 0, nil, fmt.Errorf("reading the schema id of %d bytes: too short: %w", len(wire), ErrBadRecord)
	}
	if wire[0] != wireMagic {
		return 0, nil, fmt.Errorf("reading the schema id: the first byte is %d, not 0: %w", wire[0], ErrBadRecord)
	}
	number := binary.BigEndian.Uint32(wire[1:])
	if number > math.MaxInt32 { // registries count in 32 bits with a sign
		return 0, nil, fmt.Errorf("reading the schema id: %d is none: %w", number, ErrBadRecord)
	}
	return int(number), wire[wireHeader:], nil
}
