package lake

import (
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"github.com/pricelake/pricelake/schemas"
)

func appendNullID(d *proto.ColNullable[uuid.UUID], id *schemas.ID) {
	var n proto.Nullable[uuid.UUID]
	if id != nil {
		n = proto.Nullable[uuid.UUID]{Set: true, Value: uuid.UUID(*id)}
	}
	d.Append(n)
}

func appendNullDate(d *proto.ColNullable[int32], date *schemas.Date) {
	var n proto.Nullable[int32]
	if date != nil {
		n = proto.NewNullable(int32(*date))
	}
	d.Append(n)
}

func decimal128(d schemas.Decimal) proto.Decimal128 {
	hi, lo := d.Words()
	return proto.Decimal128{Low: lo, High: uint64(hi)}
}

// What DateTime64 and Date32 hold: the years 1900 to 2299. Beyond it ClickHouse
// stores what it is sent and shows something else.
const (
	minMicros, maxMicros = -2_208_988_800_000_000, 10_413_791_999_999_999
	minDay, maxDay       = -25_567, 120_529
)

func checkTime(name string, t time.Time) error {
	if us := t.UnixMicro(); us < minMicros || us > maxMicros {
		return fmt.Errorf("%s %s is outside the years 1900 to 2299 that the lake holds", name, t.UTC().Format(time.RFC3339))
	}
	return nil
}

func checkDate(name string, d *schemas.Date) error {
	if d != nil && (*d < minDay || *d > maxDay) {
		return fmt.Errorf("%s %s is outside the years 1900 to 2299 that the lake holds", name, d)
	}
	return nil
}

// enumType is an Enum8 with the symbols of an enumeration of package schemas
// and the numbers of its constants.
type enumType struct {
	text    string
	symbols uint8
}

func enumOf[E interface {
	~uint8
	fmt.Stringer
}]() enumType {
	var b strings.Builder
	e := E(0)
	for ; !strings.HasPrefix(e.String(), "enum("); e++ {
		if e > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "'%s' = %d", e, uint8(e))
	}
	return enumType{text: "Enum8(" + b.String() + ")", symbols: uint8(e)}
}

// holds refuses a number without symbol.
func (t enumType) holds(name string, n uint8) error {
	if n >= t.symbols {
		return fmt.Errorf("%s %d is not a symbol of %s", name, n, t.text)
	}
	return nil
}
