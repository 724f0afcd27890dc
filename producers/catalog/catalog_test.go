package catalog

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/producers/providers"
)

var update = flag.Bool("update", false, "write the expected texts of testdata anew")

// TestBad compares what is said about every bad catalog with the text beside
// it. No text may repeat a secret.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad catalogs", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v", err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/bad/", "") + "\n"
			expected := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(expected, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if strings.Contains(got, "s3cr3t") {
				t.Errorf("a secret is repeated:\n%s", got)
			}
		})
	}
}

// TestTenMistakes names the ten mistakes of ten-mistakes.yaml one by one.
func TestTenMistakes(t *testing.T) {
	_, err := Load("testdata/bad/ten-mistakes.yaml")
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, want := range []string{"unknown key", "expected a whole number", "already defined", "cron text", "unknown time zone", "unknown instrument",
		"mapped twice", "not jq", "negative interval", "secret written inline"} {
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Message, want) && p.Line > 1 && (p.Hint != "" || strings.Contains(p.Message, "found"))
		}
		if !found {
			t.Errorf("nothing says %q in\n%v", want, err)
		}
	}
}

func TestGood(t *testing.T) {
	c, err := Load("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(c.CallIDs(), " "), "kraken frankfurter-day bank"; got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	var instruments []string
	for _, in := range c.Instruments {
		instruments = append(instruments, in.Instrument)
	}
	if got, want := strings.Join(instruments, " "), "XLON:OCDO META-NEW META-OLD BTC-USD ETH-USD EUR-USD"; got != want {
		t.Errorf("instruments %s, want %s", got, want)
	}
	kraken, _ := c.Call("kraken")
	r := kraken.Request
	f := func(name, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	f("kraken's request", fmt.Sprint(r.Method, " ", r.URL, r.Query, r.Headers, r.TimeoutMicros, r.MaxAttempts, r.BackoffMicros, r.MaxBackoffMicros, r.MaxBodyBytes),
		"GET http://127.0.0.1:1234/kraken/0/public/Tickermap[extra:1 pair:XBTUSD,ETHUSD] map[Accept:text/json User-Agent:pricelake (+prices@example.org) X-Api-Key:env:KRAKEN_KEY] 1500000 3 250000 4000000 524288")
	f("kraken's schedule", fmt.Sprint(kraken.Schedule), "{0 0 */30 14-16 * * 1-5 Europe/Berlin none}")
	f("kraken's rest", fmt.Sprint(kraken.Enabled, " ", kraken.Account, " ", kraken.Provider, kraken.RetentionDays), "false kraken-second kraken7")
	f("kraken's symbols", fmt.Sprint(kraken.Symbols[0].Aliases, kraken.Symbols[1].Aliases), "[XXBTZUSD] [XETHZUSD]")
	day, _ := c.Call("frankfurter-day")
	f("the day's request", day.Request.URL+fmt.Sprint(day.Request.Query, day.Schedule.EveryMicros), "http://127.0.0.1:1234/f/v1/2026-01-02map[base:EUR] 86400000000")
	bank, _ := c.Call("bank")
	f("the bank's request", fmt.Sprint(bank.Request.Method, " ", bank.Request.URL, bank.Request.Query, bank.Request.Body),
		`POST https://bank.example/a%2Fb/qmap[key:file:/run/secrets/bank list:a b n:["META","OCDO.L"]]{"symbols": ["META","OCDO.L"], "day": {"n": 1}}`)
	f("the bank's symbols", fmt.Sprint(bank.Symbols[0].Instrument, bank.Symbols[1].Instrument, bank.Symbols[2].Factor, bank.Symbols[2].Base, bank.Symbols[2].Quote), "META-OLDMETA-NEW0.01OCDOGBP")
	f("the bank's terms", bank.TermsURL+bank.Attribution+bank.Redistribution+bank.Schedule.Catchup.String(), "https://bank.example/termsThe bankfreelatest")
}

// TestPlaceholdersInURLs: what a symbol or parameter holds reaches the API as it
// is, wherever it stands in the URL.
func TestPlaceholdersInURLs(t *testing.T) {
	const text = `instruments: [{id: X, asset_class: index, base: X, quote: USD}]
calls:
  - id: one
    provider: bank
    request: {url: "https://bank.example/v1/{symbol}/{p}?s={symbol}&p={p}&n=1"}
    params: {p: "1+1=2&3"}
    symbols: {"S&P 5+0/0%=?#": X}
    schedule: {every: 1m}
    mapping: {kind: ticker, price: .p}
`
	c, err := Parse(Source{Name: "c", Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	r := c.Calls[0].Request
	if got, want := fmt.Sprint(r.URL, " ", len(r.Query), " ", r.Query["s"], " ", r.Query["p"], " ", r.Query["n"]),
		"https://bank.example/v1/S&P%205+0%2F0%25=%3F%23/1+1=2&3 3 S&P 5+0/0%=?# 1+1=2&3 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestVersions: the same words give the same version, other words another.
func TestVersions(t *testing.T) {
	text, err := os.ReadFile("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	version := func(from, to string) string {
		t.Helper()
		c, err := Parse(Source{Name: "c", Text: []byte(strings.Replace(string(text), from, to, 1))})
		if err != nil {
			t.Fatal(err)
		}
		c.Stamp(time.Now())
		call, _ := c.Call("bank")
		if v, err := versionOf(*call); err != nil || v != call.Version {
			t.Errorf("the version of a stamped call is %s, not %s (%v)", v, call.Version, err)
		}
		return call.Version
	}
	first := version("", "")
	if len(first) != 16 || version("# Every key once.", "# Another comment.") != first {
		t.Errorf("a comment changes the version, or it has a strange form: %s", first)
	}
	for from, to := range map[string]string{"price: .p\n": "price: .q\n", "every: 1m": "every: 2m", "minor_unit_factor: 0.01": "minor_unit_factor: 0.1", "The bank": "A bank", "OCDO.L: ": "OCDO.M: "} {
		if version(from, to) == first {
			t.Errorf("%s instead of %s leaves the version", to, from)
		}
	}
}

func TestPhaseSpreads(t *testing.T) {
	const calls, every = 1000, 60_000_000
	var seconds [60]int
	for i := range calls {
		p := phase(fmt.Sprintf("call-%d", i), every)
		if p < 0 || p >= every || p != phase(fmt.Sprintf("call-%d", i), every) {
			t.Fatalf("phase %d", p)
		}
		seconds[p/1_000_000]++
	}
	for s, n := range seconds {
		if n > 3*calls/60 {
			t.Errorf("%d of %d calls are due in second %d", n, calls, s)
		}
	}
}

func TestDiff(t *testing.T) {
	load := func(text string) *Catalog {
		t.Helper()
		c, err := Parse(Source{Name: "c", Text: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const head = "instruments:\n  - {id: BTC-USD, asset_class: crypto, base: BTC, quote: USD}\n"
	old := load(head + "  - {id: ETH-USD, asset_class: crypto, base: ETH, quote: USD}\ncalls:\n  - {id: a, preset: kraken/ticker, symbols: [XBTUSD]}\n  - {id: b, preset: kraken/ticker, symbols: [XBTUSD]}\n  - {id: c, preset: kraken/ticker, symbols: [XBTUSD]}\n")
	next := load(head + "  - {id: LTC-USD, asset_class: crypto, base: LTC, quote: USD}\ncalls:\n  - {id: a, preset: kraken/ticker, symbols: [XBTUSD]}\n  - {id: b, preset: kraken/ticker, symbols: [XBTUSD], timeout: 1s}\n  - {id: d, preset: kraken/ticker, symbols: [XBTUSD]}\n")
	next.Stamp(time.Now())
	got, err := json.Marshal(Diff(old, next))
	want := `{"instruments":{"added":["LTC-USD"],"changed":null,"removed":["ETH-USD"],"unchanged":["BTC-USD"]},"calls":{"added":["d"],"changed":["b"],"removed":["c"],"unchanged":["a"]}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if Diff(old, next).Empty() || !Diff(next, next).Empty() {
		t.Error("Empty")
	}
}

// TestFilesTogether: instruments of one file count in the others, ids too.
func TestFilesTogether(t *testing.T) {
	instruments := Source{Name: "i.yaml", Text: []byte("instruments:\n  - {id: BTC-USD, asset_class: crypto, base: BTC, quote: USD}\n")}
	calls := Source{Name: "c.yaml", Text: []byte("calls:\n  - {id: a, preset: kraken/ticker, symbols: [XBTUSD]}\n")}
	if _, err := Parse(calls, instruments); err != nil {
		t.Error(err)
	}
	again := Source{Name: "d.yaml", Text: calls.Text}
	if _, err := Parse(instruments, calls, again); err == nil || !strings.Contains(err.Error(), "d.yaml:2:6: calls[0].id: the call a is already defined at c.yaml:2") {
		t.Errorf("error %v", err)
	}
	if _, err := Load("testdata/nosuch.yaml", "testdata/bad/empty.yaml"); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("error %v", err)
	}
}

// TestShipped checks what the shipped catalogs promise.
func TestShipped(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range c.Calls {
		if s := call.Schedule; s.Cron == "" && s.EveryMicros < 10_000_000 {
			t.Errorf("%s asks every %dµs", call.CallID, s.EveryMicros)
		}
		if !strings.HasPrefix(call.Request.URL, "https://") || call.Request.Headers["User-Agent"] == "" || call.Request.Headers["Accept"] == "" || call.TermsURL == "" || call.Attribution == "" {
			t.Errorf("%s: %+v", call.CallID, call.Request)
		}
	}
	demo, err := Demo("http://127.0.0.1:9999/")
	if err != nil {
		t.Fatal(err)
	}
	providers := map[string]bool{}
	for _, call := range demo.Calls {
		providers[call.Provider] = true
		if !strings.HasPrefix(call.Request.URL, "http://127.0.0.1:9999/"+call.Provider+"/") || call.Schedule.EveryMicros > 3_000_000 || call.Request.TimeoutMicros > 1_500_000 {
			t.Errorf("%s: %+v %+v", call.CallID, call.Request, call.Schedule)
		}
	}
	if len(providers) != 7 || len(demo.Calls) < 8 {
		t.Errorf("%d providers, %d calls", len(providers), len(demo.Calls))
	}
	fails, ok := demo.Call("demo-always-fails")
	if !ok || fails.Request.MaxAttempts != 5 {
		t.Fatalf("demo-always-fails: %+v", fails)
	}
	longest := 5*fails.Request.TimeoutMicros + 4*2*fails.Request.MaxBackoffMicros
	if longest > 10_000_000 {
		t.Errorf("its attempts can take %dµs", longest)
	}
}

// TestPresetsInCatalog builds one call of every preset, with all it knows.
func TestPresetsInCatalog(t *testing.T) {
	set, err := providers.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		p, e, _ := set.Find(name)
		text := "include_instruments: [crypto, fx, metal]\ncalls:\n  - id: x\n    preset: " + name + "\n    params: {date: 2026-01-02, year: 2026, from: 01/03/2026, to: 05/03/2026}\n"
		if e.Batch == 1 {
			text += "    symbols: [" + p.SymbolsOf(e)[0].Key + "]\n"
		}
		c, err := Parse(Source{Name: name, Text: []byte(text)})
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := mapping.Compile(&c.Calls[0]); err != nil {
			t.Error(err)
		}
		if p.TermsURL == "" || p.Attribution == "" || p.Redistribution == "" || p.Name == "" || e.Description == "" {
			t.Errorf("%s: terms or description are missing", name)
		}
		var m mapping.Mapping
		if err := json.Unmarshal([]byte(c.Calls[0].Mapping), &m); err != nil || len(m.Check()) > 0 {
			t.Errorf("%s: %v %v", name, err, m.Check())
		}
	}
}

func TestSecretNames(t *testing.T) {
	for _, name := range []string{"Authorization", "X-Api-Key", "x-cg-demo-api-key", "X-CMC_PRO_API_KEY", "apikey", "api_key", "token", "access_token", "app_id", "access_key", "key",
		"Cookie", "Proxy-Authorization", "crumb", "client_secret", "password", "X-Auth-Token", "Ocp-Apim-Subscription-Key"} {
		if !secretName(name) {
			t.Errorf("%s is not taken for a secret", name)
		}
	}
	for _, name := range []string{"Accept", "User-Agent", "symbol", "symbols", "base", "pair", "limit", "session", "format", "date", "interval", "series_id", "monkey", "Idempotency-Key", "author"} {
		if secretName(name) {
			t.Errorf("%s is taken for a secret", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(defaultText)
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(Source{Name: "f", Text: text})
		if err != nil {
			return
		}
		for i := range c.Calls {
			if _, err := mapping.Compile(&c.Calls[i]); err != nil || c.Calls[i].Version == "" {
				t.Errorf("a call that does not compile: %v", err)
			}
		}
	})
}
