package sinks

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
)

func someIntent(rng *rand.Rand) Intent {
	in := Intent{
		Epoch: rng.Uint32(), Attempt: int32(rng.IntN(100)), First: rng.Int64N(math.MaxInt64 >> 2),
		Hash: rng.Uint64(), Bad: -1, To: -1, Transform: rng.Uint32(), Writer: "host-1.example",
	}
	for i := range in.TopicID {
		in.TopicID[i] = byte(rng.Uint32())
	}
	n := 2 + rng.Int64N(100_000)
	in.Last = in.First + n - 1
	in.Records = int(n)
	for range rng.IntN(4) {
		hole := in.First + 1 + rng.Int64N(max(1, n-2))
		if hole < in.Last && !in.Holes.Has(hole) {
			in.Holes.Add(hole, hole)
			in.Records--
		}
	}
	in.Rows = in.Records
	if rng.IntN(2) == 0 && in.Rows > 1 {
		in.Refused.Add(in.First, in.First)
		in.Rows--
		in.Bad = in.First + rng.Int64N(n)
		in.From = in.First + rng.Int64N(n)
		in.To = in.From + rng.Int64N(in.Last-in.From+1)
	}
	return in
}

func TestIntentsComeBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		want := someIntent(rng)
		got, err := ParseIntent(want.String())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s came back as %+v, %v; want %+v", want.String(), got, err, want)
		}
	}
}

// Brokers take 4 KiB beside an offset, the loop 1 KiB: the largest intent there
// can be, in the middle of a bisection, has room.
func TestLargestIntentHasRoom(t *testing.T) {
	in := Intent{
		Epoch: math.MaxUint32, Attempt: math.MaxInt32, First: math.MaxInt64 >> 2, Records: math.MaxInt32, Rows: math.MaxInt32 - 5000,
		Hash: math.MaxUint64, Transform: math.MaxUint32, Writer: strings.Repeat("w", 500),
	}
	in.Last = in.First + 1<<40
	in.Bad, in.From, in.To = in.Last, in.Last-1, in.Last
	for i := range int64(5000) {
		in.Refused.Add(in.First+1<<33+i*2_000_003, in.First+1<<33+i*2_000_003)
	}
	for i := range int64(20) {
		in.Holes.Add(in.First+i*3_000_017, in.First+i*3_000_017)
	}
	text := in.String()
	if len(text) > 1024 {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	got, err := ParseIntent(text)
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Refused.Count(); n < 20 || got.Rows != in.Rows || got.Bad != in.Bad {
		t.Errorf("%d refused records came back, rows %d, bad %d", n, got.Rows, got.Bad)
	}
}

func TestDamagedIntents(t *testing.T) {
	good := someIntent(rand.New(rand.NewPCG(3, 3)))
	text := good.String()
	for name, bad := range map[string]string{
		"empty":           "",
		"foreign":         "consumer-1",
		"another version": "pl2" + strings.TrimPrefix(text, "pl1"),
		"cut":             text[:len(text)/2],
		"a word twice":    text + " writer=x",
		"an unknown word": text + " more=1",
		"backwards":       strings.Replace(text, "range=", "range=9", 1),
		"no number":       strings.Replace(text, "epoch=", "epoch=x", 1),
		"junk":            strings.Repeat("\x00\xff", 2048),
	} {
		if got, err := ParseIntent(bad); err == nil {
			t.Errorf("%s: %q was read as %+v", name, bad, got)
		}
	}
}

// Whatever is read comes back the same, within what a commit takes.
func FuzzParseIntent(f *testing.F) {
	rng := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		in := someIntent(rng)
		f.Add(in.String())
	}
	f.Add("pl1 topic=")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := ParseIntent(text)
		if err != nil {
			return
		}
		again, err := ParseIntent(in.String())
		if err != nil || len(in.String()) > 1024 {
			t.Fatalf("%q was read, and written as %q: %v", text, in.String(), err)
		}
		if again.First != in.First || again.Last != in.Last || again.Hash != in.Hash || again.Rows != in.Rows || again.Bad != in.Bad {
			t.Fatalf("%q: %+v came back as %+v", text, in, again)
		}
	})
}

// The hash sees the offset, the key and the value of every record, their order,
// and an empty value instead of none.
func TestHash(t *testing.T) {
	rs := func() []stream.Record {
		return []stream.Record{{Offset: 1, Key: []byte("k"), Value: []byte("v")}, {Offset: 2, Key: []byte("k"), Value: []byte("w")}}
	}
	want := Hash(rs())
	for name, change := range map[string]func([]stream.Record){
		"offset":      func(rs []stream.Record) { rs[1].Offset++ },
		"key":         func(rs []stream.Record) { rs[0].Key = []byte("K") },
		"value":       func(rs []stream.Record) { rs[0].Value = []byte("V") },
		"order":       func(rs []stream.Record) { rs[0], rs[1] = rs[1], rs[0] },
		"null":        func(rs []stream.Record) { rs[0].Value = nil },
		"empty":       func(rs []stream.Record) { rs[0].Value = []byte{} },
		"moved bytes": func(rs []stream.Record) { rs[0].Key, rs[0].Value = []byte("kv"), []byte{} },
	} {
		changed := rs()
		if change(changed); Hash(changed) == want {
			t.Errorf("%s: the hash is the same", name)
		}
	}
	if Hash(rs()) != want {
		t.Error("the same records have another hash")
	}
}
