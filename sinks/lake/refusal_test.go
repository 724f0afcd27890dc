package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// Every error of the server is about its rows or about the server. What is not
// known to be about a row is tried again for ever: no dead letter is made for an
// outage, a schema or a code that nobody has thought of.
func TestErrorClasses(t *testing.T) {
	b := block(record(t, schemas.TopicPrices, 1, somePrice(t, 1)), record(t, schemas.TopicPrices, 4, somePrice(t, 4)))
	f := func(rows bool, codes ...int32) {
		t.Helper()
		for _, code := range codes {
			err := fmt.Errorf("inserting: %w", &clickhouse.Exception{Code: code, Message: "no"})
			refused, final := sinks.Refused(classify(err, b, &part{rows: 2}))
			if final != rows {
				t.Errorf("code %d: refused %v, want %v", code, final, rows)
			}
			if final && (refused.Reason != schemas.DeadRefused || refused.Suspect != -1 || len(refused.Records) != 0) {
				t.Errorf("code %d: %+v, want a refusal of the block that blames nobody", code, refused)
			}
			if !errors.As(classify(err, b, &part{rows: 2}), new(*clickhouse.Exception)) {
				t.Errorf("code %d: the server's error is lost", code)
			}
		}
	}
	f(true, rowCodes()...)
	f(true, 6, 27, 38, 41, 69, 70, 72, 117, 128, 131, 321, 349, 407, 469, 691)
	// The server, the network, its limits and its memory.
	f(false, 3 /* unexpected end */, 32 /* end of data */, 99, 101 /* packets */, 102, 106, 159 /* timeout */, 160, 173 /* memory */, 198 /* DNS */, 199, 201 /* quota */, 202, /* queries */
		203, 204, 209, 210 /* network */, 225, 236 /* aborted */, 241 /* memory */, 242, 243 /* space */, 252 /* parts */, 279, 286, 289, 305, 319 /* unknown outcome */, 341, 373, 394, /* killed */
		410, 412, 415, 425, 439 /* threads */, 459, 473 /* deadlock */, 574, 665, 667, 999 /* Keeper */, 1000, 1001, 1002)
	// Who may do what, and settings.
	f(false, 20, 115, 164 /* read-only */, 192, 193, 194, 195, 452 /* setting */, 492, 497, 516)
	// The schema.
	f(false, 7, 8, 9, 10, 15, 16 /* no such column */, 34, 36, 44, 47, 48, 50, 53 /* type */, 57, 60 /* no such table */, 62, 80, 81 /* no such database */, 122, 171, 218, 219, 220, 248, 344, 404, 508)
	// What nobody here has thought of.
	f(false, -1, 0, 40_000, 1<<31-1)
	known := rowCodes()
	for code := range int32(1200) {
		if !slices.Contains(known, code) {
			f(false, code)
		}
	}
	for _, err := range []error{
		io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE, context.Canceled, context.DeadlineExceeded, errors.New("anything"),
	} {
		if _, final := sinks.Refused(classify(fmt.Errorf("inserting: %w", err), b, &part{})); final {
			t.Errorf("%v is taken for the fault of a row", err)
		}
	}
}

// The row that a message names is found by its place among the rows that were
// sent. A message that names none, or one that was not sent, blames nobody.
func TestBlamedRows(t *testing.T) {
	s := &Sink{metrics: nil}
	decoders := jsonDecoders()
	s.loaders = decoders.loaders(nil, func(string, []string) {})
	var rs []stream.Record
	for i := range 6 {
		p := somePrice(t, i)
		p.EventTime = p.EventTime.AddDate(0, -(i % 2), 0)
		rs = append(rs, record(t, schemas.TopicPrices, int64(10+3*i), p))
	}
	b := block(rs...)
	parts, err := s.loaders[schemas.TopicPrices].load(t.Context(), b, origin{})
	if err != nil {
		t.Fatal(err)
	}
	f := func(message string, part, want int) {
		t.Helper()
		refused, final := sinks.Refused(classify(&clickhouse.Exception{Code: 469, Message: message}, b, &parts[part]))
		if !final || refused.Suspect != want {
			t.Errorf("%q blames %+v, want %d", message, refused, want)
		}
	}
	const text = "Constraint `x` for table a.prices (9f) is violated at row %d. Expression: (price > 0). Column values: price = -1"
	f(fmt.Sprintf(text, 1), 0, 1) // December has the second, the fourth and the sixth
	f(fmt.Sprintf(text, 3), 0, 5)
	f(fmt.Sprintf(text, 1), 1, 0)
	f(fmt.Sprintf(text, 2), 1, 2)
	f(fmt.Sprintf(text, 4), 1, -1)
	f(fmt.Sprintf(text, 0), 1, -1)
	f("is violated at row ", 0, -1)
	f("is violated at row 99999999999999999999", 0, -1)
	f("violated", 0, -1)
}

// counted counts the writes of a store.
type counted struct {
	sinks.Store
	n, rows int
}

func (c *counted) Write(ctx context.Context, b sinks.Block) error {
	c.n++
	c.rows += len(b.Records)
	return c.Store.Write(ctx, b)
}

// positive is a rule that somebody has made for their server, and that no reader
// here knows. Of the second the server does not say which row breaks it.
const (
	positive       = "ALTER TABLE prices ADD CONSTRAINT positive CHECK price > 0"
	positiveOrNull = "ALTER TABLE prices ADD CONSTRAINT positive CHECK if(price > 0, 1, NULL)"
)

// worth makes the record of a log one with another price.
func (g *group) worth(i int, price string) *stream.Record {
	p := somePrice(g.t, i)
	p.EventTime = p.EventTime.AddDate(0, -(i % 2), 0)
	p.Price = dec(g.t, price)
	g.records[i].Value = record(g.t, schemas.TopicPrices, g.records[i].Offset, p).Value
	return &g.records[i]
}

// A row in 100,000 that the server refuses costs itself, a dead letter with its
// bytes and the server's reason, and a few INSERTs. So it does on a server that
// does not say which it is.
func TestOneRowTheServerRefuses(t *testing.T) {
	f := func(t *testing.T, rows int, strip bool) {
		t.Parallel()
		l := openLake(t)
		constraint := positive
		if strip {
			constraint = positiveOrNull
		}
		if err := l.conn.Exec(t.Context(), constraint); err != nil {
			t.Fatal(err)
		}
		g := priceLog(t, rows)
		bad := g.worth(rows/10*7+141, "-1")
		store, letters := &counted{Store: openSink(t, l)}, new(published)
		if err := g.open(store, letters); err != nil {
			t.Fatal(err)
		}
		g.once(l, bad.Offset)
		if len(letters.sent) != 1 || string(letters.sent[0].Value) != string(bad.Value) || !strings.Contains(string(letters.sent[0].Headers[0].Value), "positive") {
			t.Errorf("%d dead letters %.2000v, want the one with the bytes and the reason", len(letters.sent), letters.sent)
		}
		inserts := insertsInto(t, l)
		t.Logf("%d writes of %d records, %d INSERTs", store.n, store.rows, inserts)
		if inserts > 22 || !strip && inserts > 3 { // two without any: there are two months
			t.Errorf("%d INSERTs for one bad row in %d", inserts, rows)
		}
		if err := g.open(openSink(t, l), letters); err != nil {
			t.Fatal(err)
		}
		if len(letters.sent) != 1 {
			t.Error("the next owner wrote the dead letter again")
		}
		g.once(l, bad.Offset)
	}
	t.Run("named", func(t *testing.T) { f(t, 100_000, false) })
	t.Run("not named", func(t *testing.T) { f(t, 5_000, true) })
}

// insertsInto counts the INSERTs into prices, those that were refused too.
func insertsInto(t *testing.T, l *Lake) (n int) {
	t.Helper()
	if err := l.conn.Exec(t.Context(), "SYSTEM FLUSH LOGS"); err != nil {
		t.Fatal(err)
	}
	text := ask(t, l, "SELECT count() FROM system.query_log WHERE query_kind = 'Insert' AND type != 'QueryStart' AND has(tables, currentDatabase() || '.prices')")
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// One record in a hundred cannot be a row, for every reason there is: each costs
// itself and one dead letter, exactly, and the others arrive.
func TestPoisonOfEveryClass(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	if err := l.conn.Exec(t.Context(), positive); err != nil {
		t.Fatal(err)
	}
	const rows = 10_000
	g := priceLog(t, rows)
	var bad []int64
	want := map[string]int{}
	for i := 50; i < rows; i += 100 {
		at := i + i/100%50 // in both months
		r := &g.records[at]
		reason := []schemas.DeadReason{schemas.DeadDecode, schemas.DeadInvalid, schemas.DeadInvalid, schemas.DeadRefused, schemas.DeadRefused}[i/100%5]
		switch i / 100 % 5 {
		case 0:
			r.Value = []byte("not a price")
		case 1:
			g.worth(at, "")
		case 2:
			p := somePrice(t, at)
			p.EventTime = utc("1066-10-14 09:00:00")
			r.Value = record(t, schemas.TopicPrices, r.Offset, p).Value
		case 3:
			g.worth(at, "0")
		case 4:
			g.worth(at, "-99999999999999999999.000000000000000001")
		}
		bad = append(bad, r.Offset)
		want[reason.String()]++
	}
	store, letters := &counted{Store: openSink(t, l)}, new(published)
	if err := g.open(store, letters); err != nil {
		t.Fatal(err)
	}
	g.once(l, bad...)
	got := map[string]int{}
	var offsets []int64
	for i := range letters.sent {
		got[letters.sent[i].Headers[0].Key]++
		var offset int64
		if _, err := fmt.Sscan(string(letters.sent[i].Key), &offset); err != nil {
			t.Fatal(err)
		}
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	if !slices.Equal(offsets, bad) || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("dead letters %v of offsets %v, want %v of %v", got, offsets, want, bad)
	}
	inserts := insertsInto(t, l)
	t.Logf("%d bad of %d: %d writes of %d records, %d INSERTs", len(bad), rows, store.n, store.rows, inserts)
	if store.n != 1 || inserts != 3 { // that of the first month is refused; the second is sent without what breaks the rule
		t.Errorf("%d writes and %d INSERTs for %v", store.n, inserts, want)
	}
}

// Records that are known to be no rows before anything is sent cost nothing but
// their dead letters: the others are sent once.
func TestUnreadableRecordsCostNoInsert(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	const rows = 3000
	g := priceLog(t, rows)
	var bad []int64
	for at := 7; at < rows; at += 100 {
		if at%200 == 7 {
			g.worth(at, "")
		} else {
			g.records[at].Value = []byte("not a price")
		}
		bad = append(bad, g.records[at].Offset)
	}
	store, letters := &counted{Store: openSink(t, l)}, new(published)
	for range 2 { // the second finds all done
		if err := g.open(store, letters); err != nil {
			t.Fatal(err)
		}
		g.once(l, bad...)
		if len(letters.sent) != len(bad) || store.n != 1 {
			t.Errorf("%d dead letters and %d writes for %d bad records, want one write", len(letters.sent), store.n, len(bad))
		}
	}
}
