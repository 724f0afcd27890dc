package lake

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

func TestOnThisMachine(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:9000": true, "127.8.8.8:9000": true, "localhost:9000": true, "[::1]:9000": true,
		"10.0.0.1:9000": false, "clickhouse:9000": false, "localhost.example:9000": false, "0.0.0.0:9000": false, "localhost": false,
	} {
		if got := onThisMachine(address); got != want {
			t.Errorf("%s is on this machine: %v, want %v", address, got, want)
		}
	}
}

// A block that is compressed, for a server behind a network, holds the rows of one
// that is not.
func TestBlocksAreTheSameNearAndFar(t *testing.T) {
	l := openLake(t)
	s := openSink(t, l)
	s.loaders[schemas.TopicPrices] = newFieldTable("prices", priceFields(), somePriceRows(t, 250), "event_time", "fetched_at", s.metrics.passedOver)
	const rows = 20_000 // of several frames
	for number, near := range []bool{true, false} {
		l.near = near
		slot, err := l.newInserter()
		if err != nil {
			t.Fatal(err)
		}
		if compressed := slot.block.compressor != nil; compressed == near {
			t.Fatalf("near: %v, compressed: %v", near, compressed)
		}
		if err := l.inserts.close(); err != nil {
			t.Fatal(err)
		}
		l.inserts = newInserters(1)
		l.inserts.add(slot)
		b := preparedBlock(rows, 0)
		b.Number = int32(number)
		if err := s.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	of := "SELECT * EXCEPT (_partition, inserted_at) FROM prices WHERE _partition = %d"
	if n := ask(t, l, fmt.Sprintf("SELECT count() FROM ("+of+" INTERSECT ALL "+of+")", 0, 1)); n != fmt.Sprint(rows) {
		t.Errorf("%s rows of %d are the same", n, rows)
	}
}

// Texts keep their rows when there are more of them than a column remembers.
func TestNamesBeyondThoseRemembered(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := newNames(new(pagePool))
	for round := range 3 {
		var want []string
		for range 2 * mostNames {
			text := fmt.Sprint(r.IntN(mostNames + mostNames/4))
			if n := len(want); n > 9 && r.IntN(2) == 0 {
				text = want[n-10+r.IntN(10)] // one that came a moment ago
			}
			want = append(want, text)
			names.add([]schemas.Field{{Bytes: []byte(text)}}, 1)
		}
		for i, text := range textsOf(names) {
			if text != want[i] {
				t.Fatalf("round %d, row %d: %q, want %q", round, i, text, want[i])
			}
		}
		if len(names.known) > mostNames {
			t.Errorf("%d names are remembered, at most %d should be", len(names.known), mostNames)
		}
		names.Reset()
	}
}
