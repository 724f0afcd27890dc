package simulator_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

func TestControlRefusesNonsense(t *testing.T) {
	s := serve(t, simulator.Config{Clock: at("2024-06-03T15:30:00Z")})
	f := func(body, want string) {
		t.Helper()
		resp, err := s.client.Post(s.url+"/control", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text.String(), want) {
			t.Errorf("%s: status %d, %q, want 400 with %q", body, resp.StatusCode, text.String(), want)
		}
	}
	f(`{"froze":true}`, "froze")
	f(`{} {}`, "one JSON object")
	f(``, "EOF")
	f(`{"force":[{"trouble":"boredom"}]}`, "rate_limited")
	f(`{"rates":{"boredom":"1s"}}`, "rate_limited")
	f(`{"rates":{"html":"often"}}`, "10s")
	f(`{"rates":[]}`, "object")
	f(`{"restate":[{"provider":"kraken","symbol":"USD","value":"1"}]}`, "ecb, frankfurter or cnb")
	f(`{"restate":[{"provider":"ecb","symbol":"EUR","value":"1"}]}`, "USD")
	f(`{"restate":[{"provider":"ecb","symbol":"USD","value":"1","value_date":"2024-06-02"}]}`, "business day")
	f(`{"restate":[{"provider":"ecb","symbol":"USD","value":"1.23456"}]}`, "at most 4 decimals")
	f(`{"restate":[{"provider":"ecb","symbol":"USD","value":"-1"}]}`, "positive")
	f(`{"restate":[{"provider":"ecb","symbol":"USD","value":"1.2"},{"provider":"x"}]}`, "ecb")
	if n := len(s.Summary().Restatements); n != 0 {
		t.Errorf("%d restatements of refused requests", n)
	}
}

func TestControlSetsRatesAndFreezes(t *testing.T) {
	s := serve(t, simulator.Config{})
	result := s.control(t, simulator.Control{Rates: &simulator.Rates{simulator.TroubleHTML: time.Nanosecond}})
	if result.Rates[simulator.TroubleHTML] != time.Nanosecond {
		t.Errorf("rates %v", result.Rates)
	}
	s.get(t, coinbasePath)
	if a := s.get(t, coinbasePath); !strings.HasPrefix(a.body, "<!DOCTYPE") {
		t.Errorf("due all the time, served %q", a.body)
	}
	yes, no := true, false
	if r := s.control(t, simulator.Control{Rates: &simulator.Rates{}, Freeze: &yes}); !r.Frozen || len(r.Rates) > 0 {
		t.Errorf("%+v", r)
	}
	for _, path := range []string{coinbasePath, krakenPath, bookPath, "/coinbase-exchange/products/BTC-USD/trades"} {
		first := s.get(t, path).body
		time.Sleep(2 * time.Millisecond)
		if second := s.get(t, path).body; second != first {
			t.Errorf("frozen, but\n%.200s\n%.200s", first, second)
		}
	}
	frozen := s.get(t, coinbasePath).body
	if r := s.control(t, simulator.Control{Freeze: &no}); r.Frozen {
		t.Error("still frozen")
	}
	if moving := s.get(t, coinbasePath).body; moving == frozen {
		t.Error("the market stands still")
	}
}

func TestRatesAsText(t *testing.T) {
	text, err := json.Marshal(simulator.Control{Rates: &simulator.Rates{simulator.TroubleSlow: 90 * time.Second}})
	if err != nil || string(text) != `{"rates":{"slow":"1m30s"}}` {
		t.Errorf("%s, %v", text, err)
	}
	var back simulator.Control
	if err := json.Unmarshal(text, &back); err != nil || (*back.Rates)[simulator.TroubleSlow] != 90*time.Second {
		t.Errorf("%+v, %v", back, err)
	}
}
