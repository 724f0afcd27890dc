package count

import (
	"context"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

// decimalBytes is Avro's decimal(38,18) on 16 bytes.
func decimalBytes(text string) []byte {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	n := new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)
	n.Div(n.Mul(n, r.Num()), r.Denom())
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return n.FillBytes(make([]byte, 16))
}

func (s *system) count(t *testing.T) *Report {
	t.Helper()
	r := &Report{}
	o := &Oracle{Ledger: s.ledger, Topics: s, Decoder: s, Lake: s}
	if err := o.Count(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Report) failed() (invariants []string) {
	for _, c := range r.Checks {
		if !c.OK && !slices.Contains(invariants, c.Invariant) {
			invariants = append(invariants, c.Invariant)
		}
	}
	slices.Sort(invariants)
	return invariants
}

func TestOracleIsContentWithAnHonestSystem(t *testing.T) {
	s := newSystem(t)
	r := s.count(t)
	if !r.OK() || r.Lost+r.Doubled+r.Wrong != 0 {
		t.Fatalf("an honest system: %+v", r)
	}
	if len(r.Checks) < 14 || r.Rows == 0 || r.Rows != r.Want || r.Repeats == 0 || r.Rejects == 0 {
		t.Fatalf("nothing was counted: %+v", r)
	}
	revisions := 0
	for _, row := range s.rows {
		revisions += int(row.revision)
	}
	if revisions == 0 {
		t.Fatal("the system has no revision")
	}
}

// remove takes the n-th record out of a topic.
func (s *system) remove(topic string, n int) {
	s.topics[topic] = slices.Delete(slices.Clone(s.topics[topic]), n, n+1)
}

// again appends the n-th record of a topic once more.
func (s *system) again(topic string, n int) {
	rec := s.topics[topic][n]
	s.add(topic, rec.Partition, s.of(rec))
}

// change gives the n-th record of a topic another value of a field.
func (s *system) change(topic string, n int, name string, value any) {
	rec := s.topics[topic][n]
	f := Fields{}
	for k, v := range s.of(rec) {
		f[k] = v
	}
	f[name] = value
	s.fields = append(s.fields, f)
	rec.Value = []byte(big.NewInt(int64(len(s.fields) - 1)).String())
}

// swap exchanges the contents of two records of one instrument.
func (s *system) swap(topic string, n int) {
	list := s.topics[topic]
	for m := n + 1; ; m++ {
		a, b := s.of(list[n]), s.of(list[m])
		if list[n].Partition == list[m].Partition && a.Text("instrument") == b.Text("instrument") {
			list[n].Value, list[m].Value = list[m].Value, list[n].Value
			return
		}
	}
}

// TestOracleFindsPlantedMistakes: a count that cannot fail proves nothing.
func TestOracleFindsPlantedMistakes(t *testing.T) {
	for _, planted := range []struct {
		name                 string
		plant                func(*system)
		lost, doubled, wrong int
		failed               string // invariants
	}{
		{"a row is missing", func(s *system) { s.rows = s.rows[1:] }, 1, 0, 0, "O1 O4"},
		{"a row is there twice", func(s *system) { s.rows = append(s.rows, s.rows[7]) }, 0, 1, 0, "O2 O4"},
		{"a row was loaded from two offsets", func(s *system) { r := s.rows[7]; r.offset++; s.rows = append(s.rows, r) }, 0, 1, 0, "O2 O4"},
		{"a price is off in the last decimal", func(s *system) { s.rows[9].price += "1" }, 0, 0, 1, "O3"},
		{"a size is missing", func(s *system) { s.rows[9].size = "" }, 0, 0, 1, "O3"},
		{"a time is off by a microsecond", func(s *system) { s.rows[9].micros++ }, 0, 0, 1, "O3"},
		{"one row for another", func(s *system) { s.rows[3] = s.rows[4] }, 1, 1, 0, "O1 O2 O4"},
		{"two rows have each other's offsets", func(s *system) {
			s.rows[3].offset, s.rows[4].offset = s.rows[4].offset, s.rows[3].offset
		}, 0, 0, 0, "O4"},
		{"two trades have one event id", func(s *system) { s.rows[3].event = s.rows[4].event }, 0, 0, 0, "O2 O4"},
		{"the table was never loaded", func(s *system) { s.rows = nil }, 617, 0, 0, "O1 O4"},

		{"the deduplicator lost a record", func(s *system) { s.remove(topicPrices, 5); s.load() }, 1, 0, 0, "O1 O4"},
		{"the deduplicator let a repeat through", func(s *system) { s.again(topicPrices, 5); s.load() }, 0, 1, 0, "O2 O4"},
		{"the deduplicator took a repeat for a revision", func(s *system) {
			s.again(topicPrices, 5)
			s.change(topicPrices, len(s.topics[topicPrices])-1, "revision", int64(1))
			s.load()
		}, 0, 1, 0, "O2 O4"},
		{"the deduplicator gave a revision the wrong number", func(s *system) { s.change(topicPrices, 5, "revision", int64(1)); s.load() }, 1, 1, 0, "O1 O2 O4"},
		{"two records of an instrument changed places", func(s *system) { s.swap(topicPrices, 5); s.load() }, 0, 0, 0, "O4"},
		{"the normalizer lost a trade that came again", func(s *system) { s.remove(topicObserved, 250) }, 0, 0, 0, "O4"},
		{"the normalizer published twice, the deduplicator mended it", func(s *system) { s.again(topicObserved, 5) }, 0, 0, 0, "O4"},
		{"the normalizer changed a price", func(s *system) { s.change(topicObserved, 5, "price", decimalBytes("1")) }, 0, 0, 0, "O4"},
		{"a bad trade is not rejected", func(s *system) { s.remove(topicRejected, 0); s.load() }, 0, 0, 0, "O9"},
		{"a bad trade is rejected twice", func(s *system) { s.again(topicRejected, 0); s.load() }, 0, 0, 0, "O9"},

		{"an answer was altered on its way", func(s *system) {
			s.change(TopicResponses, 0, "body", append([]byte(nil), append(s.of(s.topics[TopicResponses][0]).Bytes("body"), ' ')...))
		}, 100, 99, 9, "O1 O2 O3 O4 O9"},
		{"an answer the API never gave", func(s *system) {
			s.change(TopicResponses, 7, "body", s.ledger.World.Body(market.Answer{Call: 1, Number: 99, Parts: []market.Part{{Page: 1, Stride: 1}}}))
		}, 100, 100, 0, "O1 O2 O3 O4"},
		{"an answer was lost before it was recorded", func(s *system) {
			all := newSystemWithout(s, 4)
			*s = *all
		}, 100, 0, 0, "O1 O6"},
		{"an answer is recorded twice", func(s *system) { s.again(TopicResponses, 6); s.load() }, 0, 0, 0, "O4 O6"},

		{"a slot was asked for twice", func(s *system) { s.again(topicRequests, 0) }, 0, 0, 0, "O6"},
		{"a poll has no outcome", func(s *system) { s.remove(topicPolls, 0); s.load() }, 0, 0, 0, "O6"},
		{"a poll has two outcomes", func(s *system) { s.again(topicPolls, 0); s.load() }, 0, 0, 0, "O6"},
		{"a failed poll has no dead letter", func(s *system) { s.remove(topicDeadLetters, 0); s.load() }, 0, 0, 0, "O9"},
		{"a failed poll has two dead letters", func(s *system) { s.again(topicDeadLetters, 0); s.load() }, 0, 0, 0, "O6"},
		{"the lake buried a record", func(s *system) { s.add(topicDeadLetters, 0, Fields{"role": "lake"}); s.load() }, 0, 0, 0, "O9"},
		{"a poll is no row", func(s *system) { s.others["polls"] = s.others["polls"][1:] }, 1, 0, 0, "O1"},
		{"a rejected trade is two rows", func(s *system) {
			s.others["prices_rejected"] = append(s.others["prices_rejected"], s.others["prices_rejected"][0])
		}, 0, 1, 0, "O1"},
	} {
		t.Run(planted.name, func(t *testing.T) {
			s := newSystem(t)
			planted.plant(s)
			r := s.count(t)
			if got := strings.Join(r.failed(), " "); got != planted.failed {
				t.Errorf("%s failed, %s should have", got, planted.failed)
			}
			if r.Lost != planted.lost || r.Doubled != planted.doubled || r.Wrong != planted.wrong {
				t.Errorf("%d lost, %d doubled, %d wrong; planted were %d, %d, %d", r.Lost, r.Doubled, r.Wrong, planted.lost, planted.doubled, planted.wrong)
			}
			if t.Failed() {
				for _, c := range r.Checks {
					t.Logf("%+v", c)
				}
			}
		})
	}
}

// Rows that the lake refuses are accounted for one by one: each is a dead letter
// with its bytes, and nothing else is.
func TestOracleCountsRefusedRows(t *testing.T) {
	letter := func(s *system) int {
		return slices.IndexFunc(s.topics[topicDeadLetters], func(r *kgo.Record) bool { return s.of(r).Text("role") == "lake" })
	}
	for _, planted := range []struct {
		name            string
		plant           func(*system)
		lost, doubled   int
		failed, counted string
	}{
		{"nothing is wrong", func(*system) {}, 0, 0, "", "6 dead letters, 6 rows are refused; 0 letters came again"},
		{"a letter came twice under its id", func(s *system) { s.again(topicDeadLetters, letter(s)); s.load() }, 0, 0, "", "6 dead letters, 6 rows are refused; 1 letters came again"},
		{"a letter came twice under two ids", func(s *system) {
			s.again(topicDeadLetters, letter(s))
			s.change(topicDeadLetters, len(s.topics[topicDeadLetters])-1, "dead_letter_id", id("other"))
			s.load()
		}, 0, 0, "O9", ""},
		{"a letter is missing", func(s *system) { s.remove(topicDeadLetters, letter(s)); s.load() }, 1, 0, "O9", ""},
		{"a letter has other bytes", func(s *system) { s.change(topicDeadLetters, letter(s), "value", []byte("x")) }, 0, 0, "O9", ""},
		{"a letter gives no reason", func(s *system) { s.change(topicDeadLetters, letter(s), "error", "") }, 0, 0, "O9", ""},
		{"a letter is of a row that is taken", func(s *system) {
			s.change(topicDeadLetters, letter(s), "origin_offset", s.rows[3].offset)
			s.change(topicDeadLetters, letter(s), "origin_partition", int64(s.rows[3].partition))
		}, 1, 0, "O9", ""},
		{"a refused row is there all the same", func(s *system) {
			for _, rec := range s.topics[topicPrices] {
				if f := s.of(rec); market.RefusedSize(f.Decimal("size")) {
					s.rows = append(s.rows, lakeRow{row{f.Text("instrument"), f.Text("trade_id"), f.Int("revision"), f.Decimal("price"), f.Decimal("size"), f.Int("event_time")},
						uuidText(f.Bytes("event_id")), rec.Partition, rec.Offset})
					return
				}
			}
		}, 0, 1, "O2 O4", ""},
	} {
		t.Run(planted.name, func(t *testing.T) {
			s := refusingSystem(t)
			planted.plant(s)
			r := s.count(t)
			if got := strings.Join(r.failed(), " "); got != planted.failed || r.Lost != planted.lost || r.Doubled != planted.doubled {
				t.Errorf("%q failed, %d lost, %d doubled; want %q, %d, %d: %+v", got, r.Lost, r.Doubled, planted.failed, planted.lost, planted.doubled, r.Checks)
			}
			if planted.counted != "" && !slices.ContainsFunc(r.Checks, func(c Check) bool { return c.Detail == planted.counted }) {
				t.Errorf("no check says %q: %+v", planted.counted, r.Checks)
			}
		})
	}
}

// newSystemWithout is the honest system without the n-th answer of call 1: it
// was sent and nobody recorded it.
func newSystemWithout(s *system, n int) *system {
	out := &system{ledger: s.ledger, topics: map[string][]*kgo.Record{}, others: map[string][]string{}, next: map[string]int64{}}
	last := map[string]row{}
	for i := range 5 {
		for call := range 2 {
			out.poll(call, i)
			if i != 1 && (call != 1 || i != n) {
				out.respond(s.ledger.Calls[call][i], last)
			}
		}
	}
	out.load()
	return out
}

func TestWaivedChecksDoNotCount(t *testing.T) {
	s := newSystem(t)
	s.again(topicRequests, 0)
	r := s.count(t)
	if r.OK() {
		t.Fatal("a slot was asked for twice, and all is well")
	}
	if r.Waive([]string{"O6"}); !r.OK() {
		t.Fatal("the check was waived and counts")
	}
}

func TestErrorsAreNoFindings(t *testing.T) {
	s := newSystem(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := &Oracle{Ledger: s.ledger, Topics: s, Decoder: s, Lake: &ClickHouse{URL: "http://127.0.0.1:1", Client: http.DefaultClient}}
	if err := o.Count(ctx, &Report{}); err == nil {
		t.Fatal("the lake could not be asked, and it was counted")
	}
}
