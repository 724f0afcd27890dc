package dedupe

import (
	"math"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

func TestDecide(t *testing.T) {
	a, b := hashValues(fixing("EUR-USD", 0, "1.1")), hashValues(fixing("EUR-USD", 0, "1.2"))
	for _, c := range []struct {
		name     string
		known    *entry
		o        observation
		revision int32
		pass     bool
	}{
		{"new", nil, observation{values: a}, 0, true},
		{"repeat", &entry{values: a}, observation{values: a}, 0, false},
		{"restated", &entry{values: a}, observation{values: b}, 1, true},
		{"restated again", &entry{revision: 6, values: a}, observation{values: b}, 7, true},
		{"withdrawn", &entry{values: a}, observation{values: b, withdrawn: true}, 1, true},
		{"after a lost revision", &entry{revision: 2, values: unknownValues}, observation{values: a}, 3, true},
		{"slot, new", nil, observation{values: a, slot: true}, 0, true},
		{"slot, same answer", &entry{values: a}, observation{values: a, slot: true}, 0, false},
		{"slot, other answer", &entry{values: a}, observation{values: b, slot: true}, 0, false},
		{"slot, withdrawn", &entry{values: a}, observation{values: b, slot: true, withdrawn: true}, 1, true},
		{"slot, withdrawn twice", &entry{revision: 1, values: a, withdrawn: true}, observation{values: b, slot: true, withdrawn: true}, 0, false},
		{"slot, right after a withdrawal", &entry{revision: 1, values: a, withdrawn: true}, observation{values: b, slot: true}, 2, true},
	} {
		revision, pass := decide(c.known, &c.o)
		if revision != c.revision || pass != c.pass {
			t.Errorf("%s: got revision %d, pass %v, want %d, %v", c.name, revision, pass, c.revision, c.pass)
		}
	}
}

func TestHashValues(t *testing.T) {
	base := func() *schemas.Price { return fixing("EUR-USD", 0, "1.1") }
	same := base()
	same.Provider, same.CallID, same.TradeID, same.Revision = "other", "other", "other", 3
	if hashValues(base()) != hashValues(same) {
		t.Error("the hash depends on more than the values")
	}
	seen := map[uint64]string{hashValues(base()): "base"}
	for name, change := range map[string]func(p *schemas.Price){
		"price":     func(p *schemas.Price) { p.Price = decimal("1.2") },
		"negative":  func(p *schemas.Price) { p.Price = decimal("-1.1") },
		"no price":  func(p *schemas.Price) { p.Price = schemas.NullDecimal{} },
		"zero":      func(p *schemas.Price) { p.Price = decimal("0") },
		"bid":       func(p *schemas.Price) { p.Bid = decimal("1.1") },
		"ask":       func(p *schemas.Price) { p.Ask = decimal("1.1") },
		"size":      func(p *schemas.Price) { p.Size = decimal("1.1") },
		"only bid":  func(p *schemas.Price) { p.Price, p.Bid = schemas.NullDecimal{}, p.Price },
		"withdrawn": func(p *schemas.Price) { p.Withdrawn = true },
	} {
		p := base()
		change(p)
		h := hashValues(p)
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[h] = name
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(entry{}.append(nil))
	f.Add(entry{revision: math.MaxInt32, withdrawn: true, values: math.MaxUint64, offset: math.MaxInt64}.append(nil))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, p []byte) {
		e, ok := decodeEntry(p)
		if !ok {
			return
		}
		if again, ok := decodeEntry(e.append(nil)); !ok || again != e {
			t.Errorf("%+v came back as %+v", e, again)
		}
	})
}

func TestCheckpointRoundTrip(t *testing.T) {
	topic := stream.TopicID{1, 15: 2}
	for _, want := range []checkpoint{{}, {next: 7}, {next: math.MaxInt64, marker: true}} {
		p := want.append(nil, topic)
		got, id, ok := decodeCheckpoint(p)
		if !ok || got != want || id != topic {
			t.Errorf("%+v came back as %+v, %v", want, got, ok)
		}
		for n := range p {
			if _, _, ok := decodeCheckpoint(p[:n]); ok {
				t.Errorf("%d bytes of a checkpoint were taken for one", n)
			}
		}
		p[0]++
		if _, _, ok := decodeCheckpoint(p); ok {
			t.Error("a checkpoint of another version was taken for one of this")
		}
	}
}
