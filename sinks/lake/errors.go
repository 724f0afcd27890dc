package lake

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// codeViolatedConstraint is VIOLATED_CONSTRAINT: the one refusal whose rule is known.
const codeViolatedConstraint = 469

// rowCodes are the errors of ClickHouse that say that a value of a row will
// never be taken. The list is short on purpose: everything else, from a network
// that is down to too many parts (252), a timeout (159), no memory (241), an
// unknown outcome (319), a read-only table or user (242, 164) and a column that
// is not there or of another type (16, 53), is trouble of the server or of its
// schema, which ends; a row must not become a dead letter for it. So is a code
// that nobody here knows: rows wait, and are not buried by the thousand.
func rowCodes() []int32 {
	return []int32{
		6,   // CANNOT_PARSE_TEXT
		27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
		38,  // CANNOT_PARSE_DATE
		41,  // CANNOT_PARSE_DATETIME
		69,  // ARGUMENT_OUT_OF_BOUND
		70,  // CANNOT_CONVERT_TYPE
		72,  // CANNOT_PARSE_NUMBER
		117, // INCORRECT_DATA
		128, // TOO_LARGE_ARRAY_SIZE
		131, // TOO_LARGE_STRING_SIZE
		321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
		349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
		407, // DECIMAL_OVERFLOW
		codeViolatedConstraint,
		691, // UNKNOWN_ELEMENT_OF_ENUM
	}
}

// classify marks an error of the server about a part that no repetition cures,
// and says which record the server blames if it does.
func classify(err error, b sinks.Block, p *part) error {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || !slices.Contains(rowCodes(), exception.Code) {
		return err
	}
	if row, ok := blamed(exception.Message); ok && row <= p.rows {
		if offset, ok := p.offset(row - 1); ok {
			if at, found := b.Index(offset); found {
				return sinks.RefuseSuspect(schemas.DeadRefused, at, err)
			}
		}
	}
	return sinks.Refuse(schemas.DeadRefused, err)
}

// blamed reads the number of the row, from 1 on, in the message about a
// constraint that is not met.
func blamed(message string) (row int, ok bool) {
	_, rest, ok := strings.Cut(message, "is violated at row ")
	if !ok {
		return 0, false
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	row, err := strconv.Atoi(rest[:digits])
	return row, err == nil && row > 0
}

// offset returns the offset of a record by the place of its row in the part.
func (p *part) offset(row int) (int64, bool) {
	at := slices.IndexFunc(p.cols, func(c nativeColumn) bool { return c.name == "_offset" })
	if at < 0 {
		return 0, false
	}
	switch d := p.cols[at].data.(type) {
	case *fixedData:
		return d.int(row), true
	case *proto.ColInt64:
		return d.Row(row), true
	}
	return 0, false
}
