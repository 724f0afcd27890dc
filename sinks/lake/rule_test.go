package lake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

func TestBrokenRules(t *testing.T) {
	f := func(message, name, expression string, row int) {
		t.Helper()
		one, at, ok := brokenRule(fmt.Errorf("inserting: %w", &clickhouse.Exception{Code: codeViolatedConstraint, Message: message}))
		if ok != (row > 0) || at != row || one.name != name || one.expression != expression {
			t.Errorf("%q: rule %q (%s) at row %d, %v", message, one.name, one.expression, at, ok)
		}
		if ok && (strings.Contains(one.says.Error(), "secret") || !strings.Contains(one.says.Error(), expression)) {
			t.Errorf("%q is said as %q", message, one.says)
		}
	}
	f("Constraint `x` for table a.prices (9f) is violated at row 3. Expression: (price > 0). Column values: price = secret.", "`x`", "price > 0", 3)
	f("DB::Exception: Constraint x for table a.prices is violated at row 30. Expression: ((a > 0) OR (b IN (1, 2))). Column values: a = ). Column values: secret", "x", "(a > 0) OR (b IN (1, 2))", 30)
	f("Constraint `x` for table a.prices is violated. Expression: (price > 0). Constraint expression returned nullable column that contains null value", "", "", 0)
	f("Constraint `x` for table a.prices (9f) is violated at row 3. Expression: ", "", "", 0)
	f("Constraint `x` for table a.prices (9f) is violated at row 0. Expression: (price > 0). Column values: ", "", "", 0)
	f(" is violated at row 3. Expression: (price > 0). Column values: ", "", "", 0)
	f("", "", "", 0)
	if _, _, ok := brokenRule(errors.New("Constraint `x` for table a is violated at row 3. Expression: (a). Column values: b")); ok {
		t.Error("an error that is not the server's names a rule")
	}
}

// A rule that was broken is asked about before a block is sent, until nobody has
// broken it for a while.
func TestRulesAreForgotten(t *testing.T) {
	r := new(rules)
	r.sent("prices", rule{name: "a"})
	if n := len(r.of("prices")); n != 0 {
		t.Errorf("%d rules that nobody has broken", n)
	}
	r.broken("prices", rule{name: "a"})
	for range 3 {
		for range idleParts - 1 {
			r.sent("prices", rule{name: "a"})
		}
		r.broken("prices", rule{name: "a"})
	}
	for i := range idleParts {
		if n := len(r.of("prices")); n != 1 || len(r.of("polls")) != 0 {
			t.Errorf("%d rules after %d idle parts", n, i)
		}
		r.sent("prices", rule{name: "a"})
	}
	if n := len(r.of("prices")); n != 0 {
		t.Errorf("%d rules that nobody has broken for long", n)
	}
	for i := range 2 * mostRules {
		r.broken("prices", rule{name: fmt.Sprint(i)})
	}
	if n := len(r.of("prices")); n != mostRules {
		t.Errorf("%d rules are remembered", n)
	}
}

// spoil makes every so manieth record one that the server refuses.
func (g *group) spoil(every int) (bad []int64) {
	for at := every / 2; at < len(g.records); at += every {
		g.worth(at, "-3.5")
		bad = append(bad, g.records[at].Offset)
	}
	return bad
}

// Rows that break a rule are taken out of their block, and no other row is touched:
// the table is that of a log without them, column by column. Later blocks are asked
// about before they are sent, and gathered ones as they grow.
func TestRowsThatBreakARuleAreTakenOut(t *testing.T) {
	t.Parallel()
	t.Run("as blocks", func(t *testing.T) {
		t.Parallel()
		rowsAreTakenOut(t, positive, 4_000, 5, 2+4*2, func(t *testing.T, s stream.RangeSink, b stream.Batch, intend stream.Intend) error {
			return s.Write(t.Context(), b, intend)
		})
	})
	t.Run("gathered", func(t *testing.T) {
		t.Parallel()
		const rule = "ALTER TABLE prices ADD CONSTRAINT named CHECK (price > 0 OR instrument = 'nobody') AND length(trade_id) < 1000 AND (bid IS NULL OR bid > -1)"
		// Of 2,000 rows the first 600, 1,200 and 1,800 are asked about and those that are
		// left, each of two months by itself.
		rowsAreTakenOut(t, rule, 6_000, 3, 2+2*4*2, func(t *testing.T, s stream.RangeSink, b stream.Batch, intend stream.Intend) error {
			return gatherBits(t, s, b, 100).WriteGathered(t.Context(), intend)
		})
	})
}

func rowsAreTakenOut(t *testing.T, rule string, rows, batches, questions int, write func(*testing.T, stream.RangeSink, stream.Batch, stream.Intend) error) {
	digest := func(spoiled bool) (string, int) {
		l := openLake(t)
		if err := l.conn.Exec(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
		g, letters := priceLog(t, rows), new(published)
		bad := g.spoil(50)
		if !spoiled {
			kept := g.records[:0]
			for _, r := range g.records {
				if len(bad) > 0 && bad[0] == r.Offset {
					bad = bad[1:]
					continue
				}
				kept = append(kept, r)
			}
			g.records = kept
		}
		claim, rereads := g.claim(), 0
		reread := claim.Reread
		claim.Reread = func(ctx context.Context, first, last int64, each func(stream.Record) error) error {
			rereads++
			return reread(ctx, first, last, each)
		}
		lake := openSink(t, l)
		lake.askEvery = 300
		s, err := sinks.NewHandler(handlerOptions(lake, letters)).Open(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		size := len(g.records) / batches
		for i := range batches {
			b := g.batch()
			b.Records = b.Records[i*size : (i+1)*size]
			if err := write(t, s, b, claim.Intend); err != nil {
				t.Fatal(err)
			}
		}
		if len(letters.sent) != len(bad) || rereads > 1 {
			t.Errorf("%d dead letters, %d ranges read again; want %d, and the first at most", len(letters.sent), rereads, len(bad))
		}
		if n := questionsTo(t, l, "%"); spoiled && n != questions {
			t.Errorf("%d questions about rows, want %d", n, questions)
		}
		return ask(t, l, "SELECT count(), uniqExact(_offset), sum(cityHash64(toString(tuple(* EXCEPT inserted_at)))) FROM prices"), insertsInto(t, l)
	}
	clean, without := digest(false)
	spoiled, with := digest(true)
	if clean != spoiled {
		t.Errorf("rows, offsets and hash are %s, and %s in a log without the bad ones", spoiled, clean)
	}
	if with != without+1 {
		t.Errorf("%d INSERTs with bad rows, %d without: want the one more that tells of the rule", with, without)
	}
}

// A rule that is dropped, or made another, buries nothing any more a second later. In
// that second it is not asked about.
func TestARuleThatIsDropped(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g, letters := priceLog(t, 1500), new(published)
	bad := g.spoil(100)
	claim, lake := g.claim(), openSink(t, l)
	now := time.Now()
	lake.now = func() time.Time { return now }
	s, err := sinks.NewHandler(handlerOptions(lake, letters)).Open(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		statement string
		later     time.Duration
		letters   int // in all
	}{
		{positive, 0, 3},
		{"", ruleStands, 6},
		{"", ruleStands - 1, 9},
		{"ALTER TABLE prices DROP CONSTRAINT positive", 1, 9},
		{"ALTER TABLE prices ADD CONSTRAINT positive CHECK price > -3.6", 0, 9},
	} {
		if step.statement != "" {
			if err := l.conn.Exec(t.Context(), step.statement); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(step.later)
		b := g.batch()
		b.Records = b.Records[300*i : 300*(i+1)]
		if err := s.Write(t.Context(), b, claim.Intend); err != nil {
			t.Fatal(err)
		}
		if len(letters.sent) != step.letters {
			t.Errorf("after batch %d there are %d dead letters, want %d", i, len(letters.sent), step.letters)
		}
	}
	if n := questionsTo(t, l, "%create_table_query%"); n != 6 {
		t.Errorf("the server was asked %d times whether a rule stands, want 6: in three batches of two parts", n)
	}
	g.once(l, bad[:9]...)
}

// The owner is killed after the good rows are there and before the letters are out:
// the next one finds the rows, and writes each letter once.
func TestKilledBeforeTheLetters(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	if err := l.conn.Exec(t.Context(), positive); err != nil {
		t.Fatal(err)
	}
	g := priceLog(t, 6_000)
	bad := g.spoil(40) // more than a range of which the server takes nothing may have
	if err := g.open(openSink(t, l), gone{}); !errors.Is(err, errGone) {
		t.Fatalf("without a publisher: %v", err)
	}
	g.once(l, bad...)
	store, letters := &counted{Store: openSink(t, l)}, new(published)
	if err := g.open(store, letters); err != nil {
		t.Fatal(err)
	}
	if len(letters.sent) != len(bad) || store.n > 1 {
		t.Errorf("%d dead letters with %d writes, want %d and one", len(letters.sent), store.n, len(bad))
	}
	g.once(l, bad...)
}

var errGone = errors.New("the broker is gone")

// gone publishes nothing.
type gone struct{}

func (gone) Publish(context.Context, ...stream.Record) error { return errGone }

// A server that refuses every row of a large range has another schema: nobody is
// helped by dead letters for all of it, though it says which rows it refuses.
func TestARuleThatNoRowMeets(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices ADD CONSTRAINT none CHECK revision > 1000"); err != nil {
		t.Fatal(err)
	}
	letters := new(published)
	if err := priceLog(t, 500).open(openSink(t, l), letters); err == nil || !strings.Contains(err.Error(), "pricelake migrate") || len(letters.sent) > 0 {
		t.Errorf("%d dead letters, %v", len(letters.sent), err)
	}
	if err := priceLog(t, 20).open(openSink(t, l), letters); err != nil || len(letters.sent) != 20 {
		t.Errorf("of a range of 20: %d dead letters, %v", len(letters.sent), err)
	}
}

// A rule that no row of a large gathered range meets is for a person to look at, and
// what is asked about beforehand is asked anew once the rule is another.
func TestARuleThatNoGatheredRowMeets(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices ADD CONSTRAINT none CHECK revision > 1000"); err != nil {
		t.Fatal(err)
	}
	g, letters := priceLog(t, 220), new(published)
	claim, lake := g.claim(), openSink(t, l)
	lake.askEvery = 50
	now := time.Now()
	lake.now = func() time.Time { return now }
	s, err := sinks.NewHandler(handlerOptions(lake, letters)).Open(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	b := g.batch()
	b.Records = g.records[:20]
	if err := gatherBits(t, s, b, 10).WriteGathered(t.Context(), claim.Intend); err != nil || len(letters.sent) != 20 {
		t.Fatalf("of a range of 20: %d dead letters, %v", len(letters.sent), err)
	}
	b.Records = g.records[20:]
	all := gatherBits(t, s, b, 50)
	for range 2 {
		if err := all.WriteGathered(t.Context(), claim.Intend); err == nil || !strings.Contains(err.Error(), "pricelake migrate") {
			t.Errorf("of a range of 200: %v", err)
		}
	}
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices DROP CONSTRAINT none"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(ruleStands)
	if err := all.WriteGathered(t.Context(), claim.Intend); err != nil || len(letters.sent) != 20 {
		t.Errorf("without the rule: %d dead letters, %v", len(letters.sent), err)
	}
	if n := ask(t, l, "SELECT count(), uniqExact(_offset) FROM prices"); n != "200\t200" {
		t.Errorf("%s rows and offsets, want 200", n)
	}
}

// questionsTo is how often the server was asked which rows break a rule, in words
// like some.
func questionsTo(t *testing.T, l *Lake, like string) (n int) {
	t.Helper()
	if err := l.conn.Exec(t.Context(), "SYSTEM FLUSH LOGS"); err != nil {
		t.Fatal(err)
	}
	text := ask(t, l, "SELECT count() FROM system.query_log WHERE type = 'QueryFinish' AND current_database = currentDatabase() AND startsWith(query, 'SELECT _offset FROM _records') AND query LIKE "+literal(like))
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Rows of every kind of column are taken out of the right places.
func TestDropFromColumns(t *testing.T) {
	load := func(order []int) *fieldBlock {
		s := &Sink{}
		d := jsonDecoders()
		s.loaders = d.loaders(nil, func(string, []string) {})
		var rs []stream.Record
		for at, i := range order {
			p := somePrice(t, i)
			p.TradeID, p.Instrument = strings.Repeat("t", i%200), fmt.Sprint("I", i%7)
			if i%3 == 0 {
				p.Bid = schemas.NullDecimal{}
			}
			r := record(t, schemas.TopicPrices, int64(i), p)
			r.Offset = int64(at)
			rs = append(rs, r)
		}
		parts, err := s.loaders[schemas.TopicPrices].load(t.Context(), block(rs...), origin{})
		if err != nil || len(parts) != 1 {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		return parts[0].block
	}
	const rows = 1100 // ids: two pages and a bit
	for _, drop := range [][]int{{0}, {1099}, {0, 1099}, {1097, 1098, 1099}, {3, 4, 5, 50, 1098}, {511, 512, 513, 1023, 1024}, {}} {
		order, left := make([]int, rows), make([]int, rows)
		for i := range order {
			order[i], left[i] = i, i
		}
		for i := len(drop) - 1; i >= 0; i-- {
			left[drop[i]] = left[len(left)-1]
			left = left[:len(left)-1]
		}
		got, want := load(order), load(left)
		got.drop(drop)
		for i := range got.fields {
			if names, ok := got.fields[i].(*nameData); ok {
				if a, b := textsOf(names), textsOf(want.fields[i].(*nameData)); fmt.Sprint(a) != fmt.Sprint(b) {
					t.Errorf("without %v column %d says %v, want %v", drop, i, a, b)
				}
				continue
			}
			if a, b := bytesOfColumn(got.fields[i]), bytesOfColumn(want.fields[i]); a != b {
				t.Errorf("without %v column %d is %x, want %x", drop, i, a, b)
			}
		}
		if got.rows != len(left) || got.recorded.Rows() != len(left) || got.inserted.Rows() != len(left) {
			t.Errorf("without %v there are %d rows, want %d", drop, got.rows, len(left))
		}
	}
}

// splitTexts takes the bytes of a column of texts apart.
func splitTexts(column []byte) (texts [][]byte) {
	for len(column) > 0 {
		n, width := binary.Uvarint(column)
		end := width + int(n)
		texts, column = append(texts, column[width:end]), column[end:]
	}
	return texts
}

// textsOf are the rows of a column of names.
func textsOf(d *nameData) (texts []string) {
	keys := splitTexts([]byte(bytesOfColumn(&d.keys)))
	for row := range d.Rows() {
		code := binary.LittleEndian.Uint32(d.rows.row(row, codeWidth))
		texts = append(texts, string(keys[code]))
	}
	return texts
}

// The tail of a column is the column of its last rows.
func TestTailOfColumns(t *testing.T) {
	const rows = 1100
	load := func(from int) *fieldBlock {
		s := &Sink{}
		d := jsonDecoders()
		s.loaders = d.loaders(nil, func(string, []string) {})
		var rs []stream.Record
		for i := from; i < rows; i++ {
			p := somePrice(t, i)
			p.TradeID, p.Instrument = strings.Repeat("t", i%200), fmt.Sprint("I", i%7)
			if i%3 == 0 {
				p.Bid = schemas.NullDecimal{}
			}
			rs = append(rs, record(t, schemas.TopicPrices, int64(i), p))
		}
		parts, err := s.loaders[schemas.TopicPrices].load(t.Context(), block(rs...), origin{})
		if err != nil || len(parts) != 1 {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		return parts[0].block
	}
	all := load(0)
	for _, from := range []int{0, 1, 511, 512, 513, 1024, 1099} {
		want := load(from)
		same := func(name string, of rowsFrom, want pieces) {
			got := tail{of, from}
			if a, b := bytesOfColumn(got), bytesOfColumn(want); a != b || got.Rows() != rows-from {
				t.Errorf("from row %d %s has %d rows %x, want %d, %x", from, name, got.Rows(), a, rows-from, b)
			}
		}
		for i, d := range all.fields {
			if names, ok := d.(*nameData); ok {
				keys := splitTexts([]byte(bytesOfColumn(&names.keys)))
				codes := bytesOfColumn(tail{names, from})[16+len(bytesOfColumn(&names.keys)):]
				n := binary.LittleEndian.Uint64([]byte(codes[:8]))
				codes = codes[8:] // a byte each, of less than 256 texts
				if n != uint64(rows-from) || len(codes) != rows-from {
					t.Fatalf("from row %d column %d says that it has %d rows, and has %d, want %d", from, i, n, len(codes), rows-from)
				}
				for row, text := range textsOf(want.fields[i].(*nameData)) {
					if got := string(keys[codes[row]]); got != text {
						t.Fatalf("from row %d column %d says %q at %d, want %q", from, i, got, row, text)
					}
				}
				continue
			}
			same(fmt.Sprint("column ", i), d, want.fields[i])
		}
		same("_offset", all.offsets, want.offsets)
		same("_partition", &all.partition, &want.partition)
	}
}

func bytesOfColumn(d pieces) string {
	var b strings.Builder
	_ = d.each(func(piece []byte) error { b.Write(piece); return nil })
	return b.String()
}
