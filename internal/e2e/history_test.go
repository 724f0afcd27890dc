package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ecb answers like the European Central Bank: 60 business days of three
// currencies, and the last of them as the daily feed.
type ecb struct {
	mu      sync.Mutex
	days    []string
	rates   map[string]string // "2026-01-05 USD" → rate
	polls   atomic.Int64      // of the history
	given   int               // answers, ever
	answers []int             // their numbers since forget
}

func newECB() *ecb {
	e := &ecb{rates: map[string]string{}}
	day := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for n := 0; len(e.days) < 60; n++ {
		if d := day.AddDate(0, 0, n); d.Weekday() != time.Saturday && d.Weekday() != time.Sunday {
			e.days = append(e.days, d.Format(time.DateOnly))
		}
	}
	for i, d := range e.days {
		e.rates[d+" USD"] = fmt.Sprintf("1.%04d", 800+i)
		e.rates[d+" JPY"] = fmt.Sprintf("%d.%02d", 160+i%7, i)
		e.rates[d+" GBP"] = fmt.Sprintf("0.85%03d", i)
	}
	return e
}

// restate changes a value between two answers: none is given until all that came
// of those before has flowed to its end. Of two polls under way at that moment the
// one answered first may well be read last, which makes a revision of its own.
func (e *ecb) restate(u *up, day, currency, rate string) {
	u.t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	eventually(u.t, 60*time.Second, "all answers are in the lake", func() error {
		for _, n := range e.answers {
			rows, err := u.query(fmt.Sprintf("SELECT 1 FROM responses WHERE position(body, '<!-- %d -->') > 0", n))
			if err != nil || len(rows) == 0 {
				return fmt.Errorf("answer %d: %w", n, err)
			}
		}
		return nil
	})
	workedOff(u)
	e.rates[day+" "+currency] = rate
}

// forget is called when nobody waits for an answer.
func (e *ecb) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers = nil
}

// workedOff waits until the processors have committed everything they read.
func workedOff(u *up) {
	u.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka))
	if err != nil {
		u.t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(u.t.Context(), 2*time.Minute)
	defer cancel()
	for _, role := range []string{"normalizer", "deduplicator"} {
		eventually(u.t, 60*time.Second, role+" has worked everything off", func() error {
			lags, err := admin.Lag(ctx, "pricelake."+role)
			if err == nil {
				err = lags.Error()
			}
			if n := lags["pricelake."+role].Lag.Total(); err == nil && n > 0 {
				err = fmt.Errorf("%d records are left", n)
			}
			return err
		})
	}
}

func (e *ecb) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	days := e.days
	if strings.Contains(r.URL.Path, "daily") {
		days = days[len(days)-1:]
	} else {
		e.polls.Add(1)
	}
	e.given++
	e.answers = append(e.answers, e.given)
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>Reference rates</gesmes:subject><gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender><Cube>`)
	for i := len(days) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, `<Cube time="%s">`, days[i])
		for _, c := range []string{"USD", "JPY", "GBP"} {
			fmt.Fprintf(&b, `<Cube currency="%s" rate="%s"/>`, c, e.rates[days[i]+" "+c])
		}
		b.WriteString(`</Cube>`)
	}
	fmt.Fprintf(&b, `</Cube></gesmes:Envelope><!-- %d -->`, e.given)
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprint(w, b.String())
}

// TestHistoryPolledAgainAndAgain polls the ECB's history more than twenty times,
// takes everything out of prices.v1 in between as retention does, and restarts:
// each value is there once. One value restated in every feed is one more
// revision.
func TestHistoryPolledAgainAndAgain(t *testing.T) {
	t.Parallel()
	everywhere(t, history)
}

func history(t *testing.T, s *site) {
	bank := newECB()
	server := httptest.NewServer(bank)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ecb.yaml")
	text := fmt.Sprintf(`version: 1
instruments:
  - {id: EUR-USD, asset_class: fx, base: EUR, quote: USD}
  - {id: EUR-JPY, asset_class: fx, base: EUR, quote: JPY}
  - {id: EUR-GBP, asset_class: fx, base: EUR, quote: GBP}
base_urls: {ecb: %q}
calls:
  - {id: daily, preset: ecb/daily, symbols: {USD: EUR-USD, JPY: EUR-JPY, GBP: EUR-GBP}, schedule: {every: 700ms}}
  - {id: history, preset: ecb/hist-90d, symbols: {USD: EUR-USD, JPY: EUR-JPY, GBP: EUR-GBP}, schedule: {every: 300ms}}
`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	values := int64(len(bank.rates))

	u := s.start("--catalog", file)
	polled(t, bank, 7)
	everyValueOnce(u, values)
	retention(t, u)
	polled(t, bank, 5)
	if _, err := u.Stop(); err != nil {
		t.Fatalf("%v\n%s", err, u.Stderr())
	}
	bank.forget()
	u = s.start("--catalog", file)
	polled(t, bank, 10)
	if n := bank.polls.Load(); n < 20 {
		t.Fatalf("the history was polled %d times", n)
	}
	everyValueOnce(u, values)

	last := bank.days[len(bank.days)-1]
	bank.restate(u, last, "USD", "1.2345")
	polled(t, bank, 5)
	everyValueOnce(u, values+1)
	rows := u.mustQuery("SELECT instrument, toString(value_date) AS day, groupArray((revision, toString(price))) AS revisions FROM (SELECT * FROM prices ORDER BY revision) GROUP BY event_id, instrument, value_date HAVING count() > 1")
	if got := fmt.Sprint(rows); len(rows) != 1 || !strings.Contains(got, last) || !strings.Contains(got, "1.2345") {
		t.Errorf("restated: %s, want one more revision of EUR-USD on %s", got, last)
	}
}

// polled waits until the history has been asked for so many more times.
func polled(t *testing.T, bank *ecb, more int64) {
	t.Helper()
	until := bank.polls.Load() + more
	eventually(t, 60*time.Second, fmt.Sprintf("%d polls of the history", more), func() error {
		if n := bank.polls.Load(); n < until {
			return fmt.Errorf("%d, want %d", n, until)
		}
		return nil
	})
}

// everyValueOnce waits for the rows, and for what is under way to show that it
// adds none.
func everyValueOnce(u *up, want int64) {
	u.t.Helper()
	eventually(u.t, 60*time.Second, "every value", func() error { return atLeast(u, want) })
	if out, err := u.tool("verify", "--wait", "--topic", "responses.v1", "--topic", "prices.v1"); err != nil {
		u.t.Errorf("verify: %v\n%s", err, out)
	}
	if n := u.number("SELECT count() AS n FROM prices"); n != want {
		u.t.Errorf("%d rows in prices, want %d", n, want)
	}
	u.exactlyOnce()
}

// retention removes every record of prices.v1, as if its time were over.
func retention(t *testing.T, u *up) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ends, err := admin.ListEndOffsets(ctx, "prices.v1")
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := admin.DeleteRecords(ctx, ends.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatalf("deleting records: %v", err)
	}
}
