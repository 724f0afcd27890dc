package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
	"github.com/pricelake/pricelake/internal/simulator/ledgercheck"
	"github.com/pricelake/pricelake/schemas"
)

// TestDemoAgreesWithTheLedger runs the demo for a minute and compares all that
// the simulator served with all that is in the lake. It says what is there after
// half a minute, so no other test may run beside it.
func TestDemoAgreesWithTheLedger(t *testing.T) {
	t.Run("up", func(t *testing.T) { agreesWithTheLedger(embeddedSite(t, t.TempDir()).start("--demo")) })
	t.Run("servers", func(t *testing.T) { agreesWithTheLedger(serverSite(t).start("--demo")) })
}

func agreesWithTheLedger(u *up) {
	t := u.t
	ready := time.Since(u.Started)
	eventually(t, 60*time.Second, "the first row", func() error {
		rows, err := u.query("SELECT 1 FROM prices LIMIT 1")
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("prices is empty")
		}
		return err
	})
	t.Logf("ready after %s, first row after %s", ready.Round(time.Millisecond), time.Since(u.Started).Round(time.Millisecond))

	time.Sleep(time.Until(u.Started.Add(30 * time.Second)))
	providers := u.number("SELECT uniqExact(provider) AS n FROM prices")
	t.Logf("after 30 s prices come from %d providers", providers)
	if providers < 6 {
		t.Errorf("after 30 s prices come from %d providers, want at least 6", providers)
	}
	u.exactlyOnce()
	time.Sleep(time.Until(u.Started.Add(60 * time.Second)))

	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	ledger, err := simulator.FetchLedger(ctx, u.Ready.Simulator)
	if err != nil {
		t.Fatal(err)
	}
	// What was in flight when the ledger was read settles within the longest
	// poll; then everything committed has to reach the lake.
	time.Sleep(12 * time.Second)
	verified(u)
	lake := readLake(u)
	report := ledgercheck.Check(ledger, lake, demoCalls(u), ledgercheck.Options{Unheard: 3})
	t.Log(report.String())
	if !report.OK() {
		t.Errorf("%d mismatches between the ledger and the lake", len(report.Mismatches))
	}
	for _, trouble := range simulator.Troubles() {
		if report.Troubles[trouble] == 0 {
			t.Errorf("trouble %q did not occur in a minute", trouble)
		}
	}
	u.exactlyOnce()
	readmeQuestions(u)
	metricsAreWellNamed(u)
}

// readmeQuestions asks every question of the README as it stands there; each
// must be answered, and all but those about rare events with rows.
func readmeQuestions(u *up) {
	u.t.Helper()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		u.t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(readme), "```sql\n")
	if !ok {
		u.t.Fatal("the README has no SQL")
	}
	block, _, _ = strings.Cut(block, "```")
	asked := 0
	for question := range strings.SplitSeq(block, ";\n") {
		if strings.TrimSpace(question) == "" {
			continue
		}
		asked++
		_, question, _ = strings.Cut(strings.TrimSpace(question), "\n") // the comment above it
		out, err := u.tool("sql", "--json", question)
		if err != nil {
			u.t.Errorf("%s\n%v", question, err)
		} else if out == "" && !strings.Contains(question, "as_known_at") {
			u.t.Errorf("no rows: %s", question)
		}
	}
	if asked != 10 {
		u.t.Errorf("the README asks %d questions, want ten", asked)
	}
}

func demoCalls(u *up) []ledgercheck.Call {
	u.t.Helper()
	out, err := u.tool("catalog", "ls", "--json")
	if err != nil {
		u.t.Fatal(err)
	}
	var calls []ledgercheck.Call
	for line := range strings.Lines(out) {
		var def schemas.CallDefined
		if err := json.Unmarshal([]byte(line), &def); err != nil {
			u.t.Fatalf("%v: %s", err, line)
		}
		call, err := ledgercheck.CallOf(&def, time.Now())
		if err != nil {
			u.t.Fatal(err)
		}
		calls = append(calls, call)
	}
	return calls
}

// cells reads a row of ClickHouse's JSON.
type cells map[string]any

func (c cells) text(name string) string {
	switch v := c[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(c[name])
}

func (c cells) number(name string) int {
	n, _ := strconv.Atoi(c.text(name))
	return n
}

func (c cells) micros(name string) time.Time {
	n, _ := strconv.ParseInt(c.text(name), 10, 64)
	return time.UnixMicro(n).UTC()
}

func (c cells) list(name string) []cells {
	var out []cells
	items, _ := c[name].([]any)
	for _, it := range items {
		if m, ok := it.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func readLake(u *up) ledgercheck.Lake {
	u.t.Helper()
	lake := readRows(u)
	repeats := repeatsCounter(u)
	lake.Repeats = &repeats
	return lake
}

// readRows is the lake without what only the roles can tell.
func readRows(u *up) ledgercheck.Lake {
	u.t.Helper()
	lake := ledgercheck.Lake{}
	for _, r := range u.mustQuery(`SELECT response_id, poll_id, call_id, attempt, status, headers, hex(body) AS body, _partition, _offset FROM responses`) {
		c := cells(r)
		body, err := hex.DecodeString(c.text("body"))
		if err != nil {
			u.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		headers := map[string]string{}
		if m, ok := c["headers"].(map[string]any); ok {
			for k, v := range m {
				headers[k] = fmt.Sprint(v)
			}
		}
		lake.Responses = append(lake.Responses, ledgercheck.Response{ResponseID: c.text("response_id"), PollID: c.text("poll_id"), CallID: c.text("call_id"),
			Attempt: c.number("attempt"), Status: c.number("status"), Headers: headers, BodySHA256: hex.EncodeToString(sum[:]),
			Partition: int32(c.number("_partition")), Offset: int64(c.number("_offset"))})
	}
	lake.Polls = readPolls(u)
	lake.Prices = readPrices(u)
	for _, r := range u.mustQuery(`SELECT reject_id, reason, response_id, toUnixTimestamp64Micro(fetched_at) AS fetched FROM prices_rejected`) {
		c := cells(r)
		lake.Rejected = append(lake.Rejected, ledgercheck.Rejected{RejectID: c.text("reject_id"), Reason: c.text("reason"), ResponseID: c.text("response_id"), FetchedAt: c.micros("fetched")})
	}
	for _, r := range u.mustQuery(`SELECT dead_letter_id, reason, call_id, correlation_id, attempts, toUnixTimestamp64Micro(failed_at) AS failed FROM dead_letters`) {
		c := cells(r)
		lake.DeadLetters = append(lake.DeadLetters, ledgercheck.DeadLetter{DeadLetterID: c.text("dead_letter_id"), Reason: c.text("reason"),
			CallID: c.text("call_id"), CorrelationID: c.text("correlation_id"), Attempts: c.number("attempts"), FailedAt: c.micros("failed")})
	}
	return lake
}

func readPolls(u *up) []ledgercheck.Poll {
	u.t.Helper()
	var polls []ledgercheck.Poll
	rows := u.mustQuery(`SELECT poll_id, correlation_id, call_id, toUnixTimestamp64Micro(slot) AS slot, toUnixTimestamp64Micro(started_at) AS started,
		toUnixTimestamp64Micro(finished_at) AS finished, outcome, requested, valued, absent, failed,
		arrayMap((n, s, d, st, o, r) -> CAST((n, toUnixTimestamp64Micro(s), d, st, toString(o), toString(r)), 'Tuple(number Int64, started Int64, duration Int64, status Int64, outcome String, response String)'),
			attempts.number, attempts.started_at, attempts.duration_micros, attempts.status, attempts.outcome, arrayMap(x -> ifNull(toString(x), ''), attempts.response_id)) AS attempts,
		arrayMap((s, o) -> CAST((s, toString(o)), 'Tuple(symbol String, outcome String)'), symbols.symbol, symbols.outcome) AS symbols
		FROM polls SETTINGS output_format_json_named_tuples_as_objects = 1`)
	for _, r := range rows {
		c := cells(r)
		p := ledgercheck.Poll{PollID: c.text("poll_id"), CorrelationID: c.text("correlation_id"), CallID: c.text("call_id"),
			Slot: c.micros("slot"), StartedAt: c.micros("started"), FinishedAt: c.micros("finished"), Outcome: c.text("outcome"),
			Requested: c.number("requested"), Valued: c.number("valued"), Absent: c.number("absent"), Failed: c.number("failed")}
		for _, a := range c.list("attempts") {
			p.Attempts = append(p.Attempts, ledgercheck.Attempt{Number: a.number("number"), StartedAt: a.micros("started"),
				Duration: time.Duration(a.number("duration")) * time.Microsecond, Status: a.number("status"), Outcome: a.text("outcome"), ResponseID: a.text("response")})
		}
		for _, s := range c.list("symbols") {
			p.Symbols = append(p.Symbols, ledgercheck.SymbolOutcome{Symbol: s.text("symbol"), Outcome: s.text("outcome")})
		}
		polls = append(polls, p)
	}
	return polls
}

func readPrices(u *up) []ledgercheck.Price {
	u.t.Helper()
	var prices []ledgercheck.Price
	rows := u.mustQuery(`SELECT event_id, revision, withdrawn, provider, call_id, instrument, kind, rate_type, toString(price) AS price, toString(bid) AS bid,
		toString(ask) AS ask, toString(size) AS size, toUnixTimestamp64Micro(event_time) AS event_micros, event_time_kind, toString(value_date) AS value_date,
		trade_id, bitTest(quality, 0) AS rounded, poll_id, response_id, toUnixTimestamp64Micro(fetched_at) AS fetched FROM prices`)
	for _, r := range rows {
		c := cells(r)
		prices = append(prices, ledgercheck.Price{EventID: c.text("event_id"), Revision: c.number("revision"), Withdrawn: c.text("withdrawn") == "true",
			Provider: c.text("provider"), CallID: c.text("call_id"), Instrument: c.text("instrument"), Kind: c.text("kind"), RateType: c.text("rate_type"),
			Price: c.text("price"), Bid: c.text("bid"), Ask: c.text("ask"), Size: c.text("size"), EventTime: c.micros("event_micros"),
			EventTimeKind: c.text("event_time_kind"), ValueDate: c.text("value_date"), TradeID: c.text("trade_id"), Rounded: c.number("rounded") == 1,
			PollID: c.text("poll_id"), ResponseID: c.text("response_id"), FetchedAt: c.micros("fetched")})
	}
	return prices
}
