package providers

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

var update = flag.Bool("update", false, "write the want.json of testdata anew")

// golden is what want.json holds of a reading. Fields that are the same in
// every price of a case or empty are left out.
type golden struct {
	Outcome  string         `json:"outcome"`
	Error    string         `json:"error,omitempty"`
	Prices   []goldenPrice  `json:"prices,omitempty"`
	Rejected []goldenReject `json:"rejected,omitempty"`
	Symbols  map[string]int `json:"symbols"` // how many have which outcome
	Unlisted int32          `json:"unlisted,omitempty"`
}

type goldenPrice struct {
	Instrument string              `json:"instrument"`
	Kind       schemas.Kind        `json:"kind"`
	RateType   schemas.RateType    `json:"rate_type"`
	Price      schemas.NullDecimal `json:"price"`
	Bid        schemas.NullDecimal `json:"bid"`
	Ask        schemas.NullDecimal `json:"ask"`
	Size       schemas.NullDecimal `json:"size"`
	TradeID    string              `json:"trade_id,omitempty"`
	EventTime  string              `json:"event_time"`
	TimeKind   string              `json:"event_time_kind"`
	Quality    schemas.Quality     `json:"quality,omitempty"`
}

type goldenReject struct {
	Reason string `json:"reason"`
	Symbol string `json:"symbol,omitempty"`
	Detail string `json:"detail"`
}

// TestGolden reads testdata/<provider>/<endpoint>[-<case>]/answer.* through the
// preset and compares with want.json. A new case is a new folder.
func TestGolden(t *testing.T) {
	set, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filepath.Glob("testdata/*/*/answer.*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	tried := map[string]bool{}
	for _, file := range cases {
		dir := filepath.Dir(file)
		t.Run(strings.TrimPrefix(dir, "testdata/"), func(t *testing.T) {
			preset := presetOf(set, dir)
			tried[preset] = true
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := program(t, set, corpusAnswer{Preset: preset}).Read(&schemas.ResponseReceived{Status: 200, Body: body,
				FetchedAt: time.Date(2025, time.October, 9, 9, 0, 0, 0, time.UTC)})
			got, err := json.MarshalIndent(goldenOf(r), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			expected := filepath.Join(dir, "want.json")
			if *update {
				if err := os.WriteFile(expected, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(expected)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
	for _, name := range set.Names() {
		_, e, _ := set.Find(name)
		if !tried[name] && !strings.HasSuffix(name, "/date") { // the same mapping as latest
			t.Errorf("%s (%s) has no case", name, e.Path)
		}
	}
}

// presetOf finds the preset whose endpoint's name begins the folder's.
func presetOf(set Set, dir string) string {
	provider, folder := filepath.Base(filepath.Dir(dir)), filepath.Base(dir)
	best := ""
	for _, e := range set[provider].Endpoints {
		if strings.HasPrefix(folder, e.Key) && len(e.Key) > len(best) {
			best = e.Key
		}
	}
	return provider + "/" + best
}

func goldenOf(r schemas.Reading) golden {
	g := golden{Outcome: r.Outcome.String(), Error: r.Error, Unlisted: r.Unlisted, Symbols: map[string]int{}}
	for i := range r.Prices {
		p := &r.Prices[i]
		g.Prices = append(g.Prices, goldenPrice{p.Instrument, p.Kind, p.RateType, p.Price, p.Bid, p.Ask, p.Size, p.TradeID,
			p.EventTime.Format(time.RFC3339Nano), p.EventTimeKind.String(), p.Quality})
	}
	for _, j := range r.Rejected {
		g.Rejected = append(g.Rejected, goldenReject{j.Reason.String(), j.Symbol, j.Detail})
	}
	for _, s := range r.Symbols {
		g.Symbols[s.Outcome.String()]++
	}
	return g
}
