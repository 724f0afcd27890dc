package providers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
)

// corpusAnswer says how the test reads one recorded answer.
type corpusAnswer struct {
	Preset  string          `yaml:"preset"`
	Symbol  string          `yaml:"symbol"` // of a preset that asks for one
	Symbols Symbols         `yaml:"symbols"`
	Mapping mapping.Mapping `yaml:"mapping"`
	Prices  int             `yaml:"prices"` // how many, where it matters
	Skip    string          `yaml:"skip"`
}

// corpusEntry is one entry of the corpus' index.
type corpusEntry struct {
	File    string            `json:"file"`
	Kind    string            `json:"kind"`
	Status  int32             `json:"status"`
	Headers map[string]string `json:"headers"`
	Expect  []map[string]any  `json:"expect"`
}

func corpus(t *testing.T) (dir string, entries []corpusEntry) {
	t.Helper()
	dir = os.Getenv("PRICELAKE_CORPUS")
	if dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("PRICELAKE_CORPUS names no corpus of recorded answers")
		}
		t.Skip("PRICELAKE_CORPUS names no corpus of recorded answers")
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	return dir, entries
}

func answers(t *testing.T) config.Map[corpusAnswer] {
	t.Helper()
	text, err := os.ReadFile("testdata/corpus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := config.ParseYAML("corpus.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	var in struct {
		Answers config.Map[corpusAnswer] `yaml:"answers"`
	}
	if problems := doc.Decode(&in); len(problems) > 0 {
		t.Fatal(problems)
	}
	return in.Answers
}

// program compiles the mapping of an answer.
func program(t *testing.T, set Set, a corpusAnswer) *mapping.Program {
	t.Helper()
	def := schemas.CallDefined{CallID: "corpus", Version: "1", Provider: "corpus"}
	m, symbols := &a.Mapping, a.Symbols
	if a.Preset != "" {
		p, e, ok := set.Find(a.Preset)
		if !ok {
			t.Fatalf("no preset %q", a.Preset)
		}
		m, symbols = &e.Mapping, p.SymbolsOf(e)
	}
	for _, s := range symbols {
		if a.Symbol != "" && a.Symbol != s.Key || a.Symbol == "" && m.Symbol == "" && len(def.Symbols) > 0 {
			continue
		}
		for _, v := range s.Value {
			parts := strings.SplitN(v.Instrument, "-", 3)
			def.Symbols = append(def.Symbols, schemas.CallSymbol{Symbol: s.Key, Aliases: v.Aliases, Instrument: v.Instrument,
				Base: parts[0], Quote: parts[1], Factor: schemas.DecimalFromInt64(1), ValidFrom: v.ValidFrom, ValidTo: v.ValidTo})
		}
	}
	var err error
	if def.Mapping, err = m.JSON(); err != nil {
		t.Fatal(err)
	}
	p, err := mapping.Compile(&def)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func response(t *testing.T, dir string, e corpusEntry) *schemas.ResponseReceived {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, e.File))
	if err != nil {
		t.Fatal(err)
	}
	return &schemas.ResponseReceived{Status: 200, Headers: e.Headers, Body: body,
		FetchedAt: time.Date(2026, time.April, 30, 12, 0, 0, 0, time.UTC)}
}

// TestCorpus reads every good answer of the corpus and looks for every value
// that its index expects.
func TestCorpus(t *testing.T) {
	dir, entries := corpus(t)
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	known := answers(t)
	for _, e := range entries {
		if e.Kind != "ok" {
			continue
		}
		t.Run(e.File, func(t *testing.T) {
			a, ok := known.Get(e.File)
			if !ok {
				t.Fatal("testdata/corpus.yaml does not say how to read it")
			}
			if a.Skip != "" {
				t.Skip(a.Skip)
			}
			r := program(t, set, a).Read(response(t, dir, e))
			if r.Outcome != schemas.PollValued && r.Outcome != schemas.PollPartial || len(r.Prices) == 0 {
				t.Fatalf("outcome %v with %d prices: %s %v", r.Outcome, len(r.Prices), r.Error, r.Rejected)
			}
			if len(r.Rejected) > 0 {
				t.Errorf("%d rows rejected, the first: %s: %s", len(r.Rejected), r.Rejected[0].Detail, r.Rejected[0].Fragment)
			}
			if a.Prices > 0 && a.Prices != len(r.Prices) {
				t.Errorf("%d prices, want %d", len(r.Prices), a.Prices)
			}
			for _, want := range e.Expect {
				expectPrice(t, r.Prices, want)
			}
		})
	}
}

// expectPrice fails unless some price has every value that want names.
func expectPrice(t *testing.T, prices []schemas.Price, want map[string]any) {
	t.Helper()
	named := 0
	for i := range prices {
		var differs []string
		named = 0
		for key, v := range want {
			text := fmt.Sprint(v)
			check, ok := expectedValue(&prices[i], key, text)
			if !ok {
				continue
			}
			named++
			if !check {
				differs = append(differs, key+" "+text)
			}
		}
		if len(differs) == 0 {
			return
		}
		if len(prices) == 1 {
			t.Errorf("%v: the only price differs in %v: %+v", want, differs, prices[0])
			return
		}
	}
	if named > 0 {
		t.Errorf("no price is %v", want)
	}
}

// expectedValue compares one value of the index; ok is false for those that are
// no part of a price.
func expectedValue(p *schemas.Price, key, text string) (same, ok bool) {
	number := func(n schemas.NullDecimal) (bool, bool) {
		d, _, err := schemas.ParseDecimal(text)
		return err == nil && n.Valid && n.Decimal == d, true
	}
	switch key {
	case "last", "price", "rate", "close":
		return number(p.Price)
	case "bid", "buy":
		return number(p.Bid)
	case "ask", "sell":
		return number(p.Ask)
	case "amount", "size":
		if p.Kind != schemas.KindTrade {
			return false, false
		}
		return number(p.Size)
	case "trade_id":
		return p.TradeID == text, true
	case "date":
		if _, err := schemas.ParseDate(text); err != nil || p.ValueDate == nil {
			return false, false
		}
		return p.ValueDate.String() == text, true
	case "pair":
		return strings.ReplaceAll(text, "/", "") == p.Base+p.Quote, true
	case "ts", "ts_ms":
		if p.ValueDate != nil {
			return false, false
		}
		return sameTime(p.EventTime, key, text), true
	}
	return false, false
}

func sameTime(got time.Time, key, text string) bool {
	if want, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return got.Equal(want)
	}
	if want, err := time.Parse("2006-01-02 15:04:05 UTC", text); err == nil {
		return got.Equal(want)
	}
	d, _, err := schemas.ParseDecimal(text)
	if err != nil {
		return false
	}
	micros := schemas.DecimalFromInt64(1_000_000)
	if key == "ts_ms" {
		return fmt.Sprint(got.UnixMilli()) == d.String()
	}
	d, _, err = d.Mul(micros)
	return err == nil && fmt.Sprint(got.UnixMicro()) == d.String()
}

// TestCorpusErrors gives every error answer of the corpus to every mapping: no
// price, and never an outcome that looks like data.
func TestCorpusErrors(t *testing.T) {
	dir, entries := corpus(t)
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	var programs []*mapping.Program
	var names []string
	for _, a := range answers(t) {
		if a.Value.Skip == "" {
			programs = append(programs, program(t, set, a.Value))
			names = append(names, a.Key+" "+a.Value.Preset)
		}
	}
	bad := []schemas.PollOutcome{schemas.PollUnparsable, schemas.PollErrorAnswer}
	for _, e := range entries {
		if e.Kind != "error" {
			continue
		}
		resp := response(t, dir, e)
		for i, p := range programs {
			r := p.Read(resp)
			// The one answer that is proper and empty, to the mapping it is meant for.
			empty := e.File == "yahoo/quote-unknown-symbol.json" && strings.HasPrefix(names[i], "yahoo/quote") && r.Outcome == schemas.PollAbsent
			if len(r.Prices) > 0 || !slices.Contains(bad, r.Outcome) && !empty {
				t.Errorf("%s read as %s: outcome %v, %d prices", e.File, names[i], r.Outcome, len(r.Prices))
			}
			if e.Status >= 400 {
				withStatus := *resp
				withStatus.Status = e.Status
				if r := p.Read(&withStatus); r.Outcome != schemas.PollFailed || len(r.Prices)+len(r.Rejected) > 0 {
					t.Errorf("%s with status %d: outcome %v", e.File, e.Status, r.Outcome)
				}
			}
		}
	}
}

// TestCorpusCut cuts every good answer short: unparsable, never no data, never
// a panic.
func TestCorpusCut(t *testing.T) {
	dir, entries := corpus(t)
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	known := answers(t)
	for _, e := range entries {
		a, ok := known.Get(e.File)
		if e.Kind != "ok" || !ok || a.Skip != "" {
			continue
		}
		p, resp := program(t, set, a), response(t, dir, e)
		whole := strings.TrimRight(string(resp.Body), " \r\n\t\x00")
		for n := 1; n <= 16; n++ {
			cut := *resp
			cut.Body = []byte(whole[:len(whole)*n/17])
			r := p.Read(&cut)
			endsWithLine := len(cut.Body) > 0 && cut.Body[len(cut.Body)-1] == '\n'
			// A table cut at a line end looks like a shorter table.
			shorter := strings.HasSuffix(e.File, ".csv") && endsWithLine && r.Outcome != schemas.PollAbsent
			unterminated := a.Mapping.CSV != nil && a.Mapping.CSV.Unterminated
			if r.Outcome != schemas.PollUnparsable && !shorter && !unterminated {
				t.Errorf("%s cut after %d of %d bytes: outcome %v", e.File, len(cut.Body), len(whole), r.Outcome)
			}
		}
	}
}
