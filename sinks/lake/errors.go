package lake

import (
	"errors"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// rowCodes are the errors of ClickHouse that say that a value of a row will
// never be taken. The list is short on purpose: everything else, from a network
// that is down to too many parts (252), a timeout (159), no memory (241), an
// unknown outcome (319), a read-only table or user (242, 164) and a column that
// is not there, is trouble of the server or of its schema, which ends; a row
// must not become a dead letter for it.
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
		469, // VIOLATED_CONSTRAINT
		691, // UNKNOWN_ELEMENT_OF_ENUM
	}
}

// classify marks an error of the server that no repetition cures.
func classify(err error) error {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && slices.Contains(rowCodes(), exception.Code) {
		return sinks.Refuse(schemas.DeadRefused, err)
	}
	return err
}
