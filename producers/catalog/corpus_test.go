package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
)

// readCorpus reads a recorded answer as a call of the shipped catalog does.
func readCorpus(t *testing.T, call, file string) schemas.Reading {
	t.Helper()
	dir := os.Getenv("PRICELAKE_CORPUS")
	if dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("PRICELAKE_CORPUS names no corpus of recorded answers")
		}
		t.Skip("PRICELAKE_CORPUS names no corpus of recorded answers")
	}
	body, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	def, ok := c.Call(call)
	if !ok {
		t.Fatalf("no call %q", call)
	}
	p, err := mapping.Compile(def)
	if err != nil {
		t.Fatal(err)
	}
	return p.Read(&schemas.ResponseReceived{Status: 200, Body: body, FetchedAt: fetched()})
}

func fetched() time.Time { return time.Date(2026, time.April, 30, 12, 0, 0, 0, time.UTC) }

// line writes what matters of a price.
func line(p schemas.Price) string {
	date := "-"
	if p.ValueDate != nil {
		date = p.ValueDate.String()
	}
	text := fmt.Sprintf("%s %s/%s %s %s price=%s bid=%s ask=%s size=%s id=%s %s %s date=%s", p.Instrument, p.Base, p.Quote, p.Kind, p.RateType,
		p.Price, p.Bid, p.Ask, p.Size, p.TradeID, p.EventTime.Format(time.RFC3339Nano), p.EventTimeKind, date)
	return strings.ReplaceAll(text, "=null", "=")
}

// TestWorkedAnswers holds the shipped catalog to the design's examples.
func TestWorkedAnswers(t *testing.T) {
	f := func(call, file string, count int, want ...string) {
		t.Helper()
		r := readCorpus(t, call, file)
		if len(r.Prices) != count || len(r.Rejected) > 0 {
			t.Errorf("%s over %s: %d prices, want %d; rejected %v; %s", call, file, len(r.Prices), count, r.Rejected, r.Error)
			return
		}
		got := map[string]bool{}
		for _, p := range r.Prices {
			got[line(p)] = true
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("%s over %s: no price\n  %s\namong\n  %s …", call, file, w, line(r.Prices[0]))
			}
		}
	}
	f("kraken-ticker", "kraken/ccxt-ticker-XBTUSDT.json", 1,
		"BTC-USDT BTC/USDT ticker last price=73380.6 bid=73380.6 ask=73380.7 size= id= 2026-04-30T12:00:00Z fetched date=-")
	f("coinbase-btc-usd-ticker", "coinbase-exchange/ticker.json", 1,
		"BTC-USD BTC/USD ticker last price=246.28 bid=637 ask=637.11 size= id= 2015-04-08T20:49:06.506997Z source date=-")
	f("binance-book", "binance/bookticker-BTCUSDT.json", 1,
		"BTC-USDT BTC/USDT quote none price= bid=6621.55 ask=6622.1 size= id= 2026-04-30T12:00:00Z fetched date=-")
	f("coinbase-btc-usdt-trades", "coinbase-exchange/ccxt-trades-BTC-USDT.json", 1,
		"BTC-USDT BTC/USDT trade last price=73271.63 bid= ask= size=0.00007448 id=18502034 2024-03-13T11:00:17.710679Z source date=-")
	f("ecb-daily", "ecb/eurofxref-daily.xml", 31,
		"EUR-USD EUR/USD fixing official price=1.1831 bid= ask= size= id= 2015-01-07T00:00:00Z value_date date=2015-01-07",
		"EUR-BGN EUR/BGN fixing official price=1.9558 bid= ask= size= id= 2015-01-07T00:00:00Z value_date date=2015-01-07",
		"EUR-RUB EUR/RUB fixing official price=75 bid= ask= size= id= 2015-01-07T00:00:00Z value_date date=2015-01-07")
	f("ecb-hist-90d", "ecb/eurofxref-hist-90d.xml", 65*32,
		"EUR-ISK EUR/ISK fixing official price=134 bid= ask= size= id= 2019-11-29T00:00:00Z value_date date=2019-11-29",
		"EUR-HRK EUR/HRK fixing official price=7.4385 bid= ask= size= id= 2019-11-29T00:00:00Z value_date date=2019-11-29")
	f("cnb-daily", "cnb/denni-kurz.csv", 32,
		"PHP-CZK PHP/CZK fixing official price=0.51384 bid= ask= size= id= 2016-04-05T00:00:00Z value_date date=2016-04-05",
		"IDR-CZK IDR/CZK fixing official price=0.001798 bid= ask= size= id= 2016-04-05T00:00:00Z value_date date=2016-04-05")
}
