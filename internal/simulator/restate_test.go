package simulator_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/simulator"
)

// rates reads the fixings of an answer, by currency and value date.
func rates(t *testing.T, s *sim, path string, read func(string) ([]line, error)) map[[2]string]string {
	t.Helper()
	lines, err := read(s.get(t, path).body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[[2]string]string{}
	for _, l := range lines {
		out[[2]string{l.symbol, l.valueDate}] = l.price
	}
	return out
}

func TestRestatedValueIsInEveryFeedFromThenOn(t *testing.T) {
	s := serve(t, simulator.Config{Seed: 2, Clock: at("2024-06-03T15:30:00Z")})
	daily, history, latest := rates(t, s, dailyPath, readECB), rates(t, s, historyPath, readECB), rates(t, s, latestPath, readFrankfurter)
	seen := map[[2]string]bool{}
	for range 8 {
		s.control(t, force(simulator.TroubleRestated, "ecb"))
		a := s.get(t, historyPath)
		e := s.entry(t, a.id)
		if e.Restatement == nil || e.Trouble != simulator.TroubleRestated || e.Restatement.Bank != "ecb" {
			t.Fatalf("%s: %+v", e.Trouble, e.Restatement)
		}
		key := [2]string{e.Restatement.Symbol, e.Restatement.ValueDate}
		seen[key] = true
		if rat(t, history[key]).Cmp(rat(t, e.Restatement.Old)) != 0 || e.Restatement.Old == e.Restatement.New {
			t.Errorf("%v: was %s, restated from %s to %s", key, history[key], e.Restatement.Old, e.Restatement.New)
		}
		newest, err := readECB(a.body)
		if err != nil {
			t.Fatal(err)
		}
		changed := 0
		for _, l := range newest {
			k := [2]string{l.symbol, l.valueDate}
			if history[k] == l.price {
				continue
			}
			changed++
			history[k] = l.price
			if k != key || rat(t, l.price).Cmp(rat(t, e.Restatement.New)) != 0 {
				t.Errorf("%v became %s, said was %v to %s", k, l.price, key, e.Restatement.New)
			}
		}
		if changed != 1 {
			t.Errorf("%d values changed", changed)
		}
		for _, p := range e.Prices {
			if p.Restated != seen[[2]string{p.Symbol, p.ValueDate}] {
				t.Errorf("%s of %s: restated %t", p.Symbol, p.ValueDate, p.Restated)
			}
		}
	}
	if len(s.Summary().Restatements) != 8 {
		t.Errorf("%d restatements in the summary", len(s.Summary().Restatements))
	}
	s.control(t, simulator.Control{Restate: []simulator.Restate{{Provider: "frankfurter", Symbol: "GBP", Value: "0.9"}}})
	for name, now := range map[string][2]map[[2]string]string{
		"daily":  {daily, rates(t, s, dailyPath, readECB)},
		"latest": {latest, rates(t, s, latestPath, readFrankfurter)},
	} {
		history := rates(t, s, historyPath, readECB)
		for key := range now[0] {
			if rat(t, now[1][key]).Cmp(rat(t, history[key])) != 0 {
				t.Errorf("%s: %v is %s, in the history %s", name, key, now[1][key], history[key])
			}
		}
		if got := now[1][[2]string{"GBP", "2024-06-03"}]; rat(t, got).Cmp(rat(t, "0.9")) != 0 {
			t.Errorf("%s: GBP is %s", name, got)
		}
	}
}

func TestOnlyServedValuesAreRestated(t *testing.T) {
	s := serve(t, simulator.Config{Clock: at("2024-06-03T15:30:00Z")})
	s.control(t, force(simulator.TroubleRestated, ""))
	for _, path := range []string{dailyPath, latestPath, cnbPath} {
		if a := s.get(t, path); s.entry(t, a.id).Trouble != simulator.TroubleNone {
			t.Errorf("%s: restated before anybody has seen it", path)
		}
		a := s.get(t, path)
		if e := s.entry(t, a.id); e.Trouble != simulator.TroubleRestated || e.Restatement.ValueDate != "2024-06-03" {
			t.Errorf("%s: %s, %+v", path, e.Trouble, e.Restatement)
		}
		s.control(t, force(simulator.TroubleRestated, ""))
	}
}

func TestRestatedStaysRestatedOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "simulator.json")
	cfg := simulator.Config{Clock: at("2024-06-03T15:30:00Z"), StateFile: file}
	first := serve(t, cfg)
	for _, value := range []string{"1.5", "1.25"} {
		first.control(t, simulator.Control{Restate: []simulator.Restate{
			{Provider: "ecb", Symbol: "USD", Value: value}, {Provider: "cnb", Symbol: "CHF", ValueDate: "2024-05-31", Value: "25.5"},
		}})
	}
	second := serve(t, cfg)
	if got := rates(t, second, dailyPath, readECB)[[2]string{"USD", "2024-06-03"}]; got != "1.2500" {
		t.Errorf("after a restart USD is %s", got)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Count(string(text), "USD") != 1 {
		t.Errorf("state %s, %v", text, err)
	}
	if left, err := filepath.Glob(file + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}

	f := func(state, want string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := simulator.New(cfg).Run(ctx, l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("state %s: %v, want %q", state, err, want)
		}
	}
	f(`{`, "delete the file")
	f(`[{"bank":"x"}]`, "delete the file")
	f(`[{"bank":"ecb","symbol":"USD","value_date":"2024-06-02","new":"1"}]`, "business day")
}
