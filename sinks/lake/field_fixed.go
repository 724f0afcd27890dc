package lake

import (
	"encoding/binary"

	"github.com/pricelake/pricelake/schemas"
)

func newInt8(pool *pagePool) *fixedData  { return newFixed(pool, 1, putInt8s) }
func newInt32(pool *pagePool) *fixedData { return newFixed(pool, 4, putInt32s) }
func newInt64(pool *pagePool) *fixedData { return newFixed(pool, 8, putInt64s) }

// newUUID is a column of ids: two integers, the high one first.
func newUUID(pool *pagePool) *fixedData { return newFixed(pool, 16, putUUIDs) }

// newDecimal is a column of decimals: one integer of 128 bits, the low half
// first.
func newDecimal(pool *pagePool) *fixedData { return newFixed(pool, 16, putDecimals) }

func putInt8s(to []byte, fields []schemas.Field, stride int) {
	for i, at := 0, 0; i < len(to); i, at = i+1, at+stride {
		to[i] = byte(fields[at].Int)
	}
}

func putInt32s(to []byte, fields []schemas.Field, stride int) {
	for at := 0; len(to) > 0; to, at = to[4:], at+stride {
		binary.LittleEndian.PutUint32(to, uint32(fields[at].Int))
	}
}

func putInt64s(to []byte, fields []schemas.Field, stride int) {
	for at := 0; len(to) > 0; to, at = to[8:], at+stride {
		binary.LittleEndian.PutUint64(to, uint64(fields[at].Int))
	}
}

func putUUIDs(to []byte, fields []schemas.Field, stride int) {
	for at := 0; len(to) > 0; to, at = to[16:], at+stride {
		high, low := words(fields[at].Bytes)
		binary.LittleEndian.PutUint64(to, high)
		binary.LittleEndian.PutUint64(to[8:], low)
	}
}

func putDecimals(to []byte, fields []schemas.Field, stride int) {
	for at := 0; len(to) > 0; to, at = to[16:], at+stride {
		high, low := words(fields[at].Bytes)
		binary.LittleEndian.PutUint64(to, low)
		binary.LittleEndian.PutUint64(to[8:], high)
	}
}

// words are the halves of 16 bytes; zero of what has not that many: no value.
func words(b []byte) (high, low uint64) {
	if len(b) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
}
