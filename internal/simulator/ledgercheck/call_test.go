package ledgercheck

import (
	"reflect"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

func TestCallOf(t *testing.T) {
	day := func(text string) *schemas.Date {
		d, err := schemas.ParseDate(text)
		if err != nil {
			t.Fatal(err)
		}
		return &d
	}
	def := &schemas.CallDefined{
		CallID:  "c",
		Request: schemas.CallRequest{URL: "http://h/p?a=1", Query: map[string]string{"b": `["x"]`}, MaxAttempts: 3},
		Symbols: []schemas.CallSymbol{
			{Symbol: "A", Aliases: []string{"AA"}, Instrument: "A-B"},
			{Symbol: "GONE", ValidTo: day("2024-06-02")},
			{Symbol: "LAST", ValidTo: day("2024-06-03")},
			{Symbol: "FIRST", ValidFrom: day("2024-06-03")},
			{Symbol: "COMING", ValidFrom: day("2024-06-04")},
		},
	}
	got, err := CallOf(def, time.Date(2024, 6, 3, 23, 0, 0, 0, time.UTC))
	want := Call{ID: "c", URL: "http://h/p?a=1&b=%5B%22x%22%5D", MaxAttempts: 3, Symbols: []Symbol{
		{Symbol: "A", Aliases: []string{"AA"}, Instrument: "A-B"}, {Symbol: "LAST"}, {Symbol: "FIRST"},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := CallOf(&schemas.CallDefined{Request: schemas.CallRequest{URL: ":"}}, time.Time{}); err == nil {
		t.Error("no error for an address that is none")
	}
}
