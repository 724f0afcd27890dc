package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
)

func TestPrintTrace(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	n := func(i int64) *int64 { return &i }
	asked := app.TraceStep{At: at, Step: app.StepRequested, ID: "p", CallID: "kraken-ticker", Outcome: "schedule"}
	response := app.TraceStep{At: at, Step: app.StepResponse, ID: "r", CallID: "kraken-ticker", Attempt: n(2), Status: n(200), Bytes: n(12), BodyExpired: true, Detail: "GET https://x/"}
	finished := app.TraceStep{At: at, Step: app.StepFinished, ID: "p", CallID: "kraken-ticker", Outcome: "valued"}
	symbol := app.TraceStep{At: at, Step: app.StepSymbol, ID: "p", Symbol: "XBTEUR", Instrument: "BTC-EUR", Outcome: "valued"}
	price := app.TraceStep{At: at, Step: app.StepPrice, ID: "e", Instrument: "BTC-EUR", Outcome: "last", Price: "1.50", Bid: "1.25", Revision: n(0), EventTime: at,
		InsertedAt: at.Add(time.Second), Topic: "prices.v1", Partition: n(3), Offset: n(4)}

	f := func(steps []app.TraceStep, hint string, lines ...string) {
		t.Helper()
		var out, errOut strings.Builder
		c := &cli{out: newPrinter(&out), stderr: &errOut}
		if err := c.printTrace(steps); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")[1:]; strings.Join(got, "\n") != strings.Join(lines, "\n") {
			t.Errorf("printed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
		}
		if (hint == "") != (errOut.String() == "") || !strings.Contains(errOut.String(), hint) {
			t.Errorf("said %q, want %q", errOut.String(), hint)
		}
	}
	const when = "2026-01-02 03:04:05.006\t"
	f([]app.TraceStep{asked, response}, "outcome of the poll is not in the lake",
		when+"requested\tkraken-ticker\tschedule\t\t\t",
		when+"response\tkraken-ticker\tstatus 200\tattempt 2, 12 bytes, body expired, GET https://x/\t\t")
	f([]app.TraceStep{finished, symbol}, "No price has come of it",
		when+"finished\tkraken-ticker\tvalued\t\t\t",
		when+"symbol\tBTC-EUR XBTEUR\tvalued\t\t\t")
	f([]app.TraceStep{finished, symbol, price}, "",
		when+"finished\tkraken-ticker\tvalued\t\t\t",
		when+"symbol\tBTC-EUR XBTEUR\tvalued\t\t\t",
		when+"price\tBTC-EUR\tlast\tprice 1.50, bid 1.25, of 2026-01-02 03:04:05.006, revision 0\tprices.v1[3]@4\t2026-01-02 03:04:06.006")

	var out strings.Builder
	c := &cli{out: newPrinter(&out), stderr: &strings.Builder{}, flags: globalFlags{json: true}}
	if err := c.printTrace([]app.TraceStep{price, asked}); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || len(lines) != 2 || got["price"] != "1.50" || got["revision"] != 0.0 || got["offset"] != 4.0 {
		t.Errorf("JSON: %v, %s", err, out.String())
	}
	if strings.TrimSpace(lines[1]) != `{"at":"2026-01-02T03:04:05.006Z","step":"requested","id":"p","call_id":"kraken-ticker","outcome":"schedule"}` {
		t.Errorf("what a step does not have is printed: %s", lines[1])
	}
}
