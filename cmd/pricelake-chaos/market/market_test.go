package market

import (
	"encoding/json"
	"math/big"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func small() World { return World{Seed: 5, Calls: 2, Symbols: 3, Page: 40} }

// clock is a time that only the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newClock() *clock { return &clock{time.Unix(1_700_000_000, 0)} }

func TestBodySaysTheItems(t *testing.T) {
	w := World{Seed: 9, Calls: 2, Symbols: 3, Page: 2000}
	a := Answer{Call: 1, Number: 12, Parts: []Part{{Page: 3, Stride: 1}, {Page: 1, Version: 2, Stride: 7, Phase: 4}}}
	var said struct {
		Answer string
		Items  []struct {
			S, I, Q string
			P       json.RawMessage
			T       int64
		}
	}
	if err := json.Unmarshal(w.Body(a), &said); err != nil {
		t.Fatal(err)
	}
	n, bad := 0, 0
	w.Items(a, func(it Item) {
		got := said.Items[n]
		n++
		if got.I != it.Trade.ID() || got.S != Symbol(1, it.Symbol) || got.T != it.Micros || got.Q != it.Size {
			t.Fatalf("item %d is %+v, the answer says %+v", n, it, got)
		}
		text := string(got.P)
		var quoted string
		if json.Unmarshal(got.P, &quoted) == nil {
			text = quoted
		}
		number, ok := new(big.Rat).SetString(text)
		if ok == it.Bad {
			t.Fatalf("item %+v is sent as %s", it, got.P)
		}
		if it.Bad {
			bad++
			return
		}
		if want, _ := new(big.Rat).SetString(it.Price); number.Cmp(want) != 0 {
			t.Fatalf("the price %s is sent as %s", it.Price, got.P)
		}
	})
	if n != len(said.Items) || bad == 0 {
		t.Fatalf("%d items of %d, %d of them bad", n, len(said.Items), bad)
	}
	if call, number, ok := Identify(w.Body(a)); call != 1 || number != 12 || !ok {
		t.Fatalf("the body says it is answer %d of call %d (%t)", number, call, ok)
	}
}

func TestIdentifyRefusesOthers(t *testing.T) {
	for _, body := range []string{"", "{}", `{"answer":"c`, `{"answer":"c1"`, `{"answer":"c01-x","items":[]}`, `{"answer":"d01-0000001","items":[]}`, "not now\n"} {
		if _, _, ok := Identify([]byte(body)); ok {
			t.Errorf("%q is taken for an answer", body)
		}
	}
}

func TestVersionsDifferInPrice(t *testing.T) {
	w := small()
	for i := range 1000 {
		seen := map[string]bool{}
		for v := range maxVersion + 1 {
			it := w.Item(Trade{0, 0, i}, v)
			seen[it.Price] = true
			first := w.Item(Trade{0, 0, i}, 0)
			if it.Symbol != first.Symbol || it.Micros != first.Micros || it.Bad != first.Bad {
				t.Fatalf("version %d is of another trade: %+v, %+v", v, it, first)
			}
		}
		if len(seen) != maxVersion+1 {
			t.Fatalf("trade %d has prices %v", i, seen)
		}
	}
}

// drive makes so many answers, recording them at once if record says so.
func drive(f *Feed, c *clock, answers int, record func(Answer) bool) {
	for i := range answers {
		f.Release(float64(i+1) / float64(answers) * 1.2)
		a := f.Next(i % f.world.Calls)
		f.Sent(a.Call, a.Number)
		if record(a) {
			f.Recorded(a.Call, a.Number)
		}
		c.at = c.at.Add(time.Second)
	}
}

func TestFeedIsRepeatable(t *testing.T) {
	made := make([]*Ledger, 2)
	for i := range made {
		c := newClock()
		f := NewFeed(small(), 4000, c.now)
		drive(f, c, 300, func(a Answer) bool { return a.Number%3 != 0 })
		made[i] = f.Ledger()
	}
	if !reflect.DeepEqual(made[0], made[1]) {
		t.Fatal("the same seed and the same requests got other answers")
	}
}

func TestFeedSaysAllUntilRecorded(t *testing.T) {
	c := newClock()
	f := NewFeed(small(), 4000, c.now)
	drive(f, c, 50, func(Answer) bool { return false })
	if s := f.Stats(); s.Events != 4000 || f.Done() || s.Again == 0 || s.Repeats+s.Restated != 0 {
		t.Fatalf("nothing was recorded, and the feed says %+v, done: %t", s, f.Done())
	}
	drive(f, c, 300, func(Answer) bool { return true })
	if s := f.Stats(); s.Events != 4000 || s.Waiting != 0 || !f.Done() {
		t.Fatalf("everything was recorded, and the feed says %+v, done: %t", s, f.Done())
	}
}

func TestFeedRepeatsAndRestatesRecordedPages(t *testing.T) {
	c := newClock()
	f := NewFeed(small(), 40_000, c.now)
	recorded := map[[3]int]bool{}
	for i := range 2000 {
		f.Release(float64(i) / 4000)
		a := f.Next(i % 2)
		for _, p := range a.Parts {
			switch p.Why {
			case Repeat, Restate:
				before := 0
				if p.Why == Restate {
					before = p.Version - 1
				}
				if !recorded[[3]int{a.Call, p.Page, before}] {
					t.Fatalf("answer %+v: page %d in version %d was not recorded", a, p.Page, before)
				}
			case Fresh:
				if p.Page*2+a.Call >= 1000 {
					t.Fatalf("page %d of call %d does not exist", p.Page, a.Call)
				}
			}
		}
		for _, p := range a.Parts {
			recorded[[3]int{a.Call, p.Page, p.Version}] = true
		}
		f.Recorded(a.Call, a.Number)
		c.at = c.at.Add(time.Second)
	}
	if s := f.Stats(); s.Repeats == 0 || s.Restated == 0 || s.Events != 20_000 {
		t.Fatalf("the feed said %+v", s)
	}
}

// Some trades have a row that the lake refuses: as many as was said, of both kinds,
// in every version, and never on the first pages. A feed restates some when it is
// asked to.
func TestRefusedTrades(t *testing.T) {
	w := small()
	w.Refuse = 4
	seen := map[Refusal]int{}
	for page := range 200 {
		for i := range w.Page {
			it, later := w.Item(Trade{1, page, i}, 0), w.Item(Trade{1, page, i}, 2)
			seen[it.Refusal]++
			if it.Refusal != later.Refusal || RefusedSize(it.Size) != (it.Refusal != Taken) || RefusedSize(later.Size) != (it.Refusal != Taken) {
				t.Fatalf("page %d, trade %d: %+v, later %+v", page, i, it, later)
			}
			if it.Refusal != Taken && (page < firstRefused || page%w.Refuse != 0) {
				t.Fatalf("page %d has a refused trade", page)
			}
		}
	}
	if seen[Named] != 47 || seen[Unnamed] != 1 {
		t.Errorf("refused on 200 pages: %v", seen)
	}
	c := newClock()
	f := NewFeed(w, 2*w.Calls*13*w.Page, c.now)
	f.Release(0.6)
	drive(f, c, 100, func(Answer) bool { return true })
	f.Refuse(1)
	restated := 0
	drive(f, c, 40, func(a Answer) bool {
		for _, p := range a.Parts {
			if p.Why != Restate || p.Version == 0 {
				continue
			}
			w.PartItems(a.Call, p, func(it Item) {
				if it.Refusal != Taken {
					restated++
				}
			})
		}
		return true
	})
	if restated == 0 || f.refuse != 0 {
		t.Errorf("%d refused trades were restated", restated)
	}
}

func TestFeedHoldsBack(t *testing.T) {
	c := newClock()
	f := NewFeed(small(), 1_000_000, c.now)
	f.Release(1)
	for range 100 {
		f.Next(0)
	}
	if s := f.Stats(); s.Waiting > maxWaiting {
		t.Fatalf("%d pages wait", s.Waiting)
	}
}

func TestLedgerFile(t *testing.T) {
	c := newClock()
	f := NewFeed(small(), 2000, c.now)
	drive(f, c, 60, func(a Answer) bool { return a.Number%2 == 0 })
	name := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := f.Ledger().WriteFile(name); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, f.Ledger()) {
		t.Fatal("the ledger came back changed")
	}
}

func BenchmarkBody(b *testing.B) {
	w := World{Seed: 1, Calls: 6, Symbols: 8, Page: 1000}
	a := Answer{Call: 3, Number: 4, Parts: []Part{{Page: 5, Stride: 1}}}
	b.ReportAllocs()
	for b.Loop() {
		w.Body(a)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*w.Page), "ns/trade")
}
