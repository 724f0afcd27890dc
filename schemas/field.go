package schemas

// Field is the value of one field of a record, as its bytes say it: what a
// column is filled from without a Go value in between. Which of its members
// holds the value follows from the field's type in our schema.
type Field struct {
	// Int is an integer, a boolean (0 or 1), the number of a symbol of an
	// enumeration, microseconds since 1970 or days since 1970.
	Int int64
	// Bytes is a text or a fixed: an id, or a decimal as Decimal.Bytes has it.
	// It shares the record's memory.
	Bytes []byte
	// Null says that the field has no value. The others are zero then.
	Null bool
}
