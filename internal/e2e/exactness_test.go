package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// TestExactness sends every decimal that the recorded answers expect through
// Avro, Kafka and ClickHouse and wants back the same number.
func TestExactness(t *testing.T) {
	t.Parallel()
	texts := corpusDecimals(t)
	everywhere(t, func(t *testing.T, s *site) { exactness(t, s.start("--catalog", quietCatalog(t)), texts) })
}

func exactness(t *testing.T, u *up, texts []string) {
	t.Helper()
	client, err := avro.NewClient(u.Ready.Registry)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := avro.NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := codec.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, text := range texts {
		d, rounded, err := schemas.ParseDecimal(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		n := schemas.NullDecimal{Decimal: d, Valid: true}
		p := schemas.Price{EventID: schemas.DeriveID("exactness", fmt.Sprint(i)), Provider: "test", CallID: "test", Instrument: "TEST", Base: "A", Quote: "B",
			Kind: schemas.KindTicker, RateType: schemas.RateLast, Price: n, Bid: n, Ask: n, Size: n, EventTime: at, EventTimeKind: schemas.TimeSource,
			RequestedAt: at, FetchedAt: at, TradeID: text}
		if rounded {
			p.Quality = schemas.QualityRounded
		}
		wire, err := codec.Append(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		kafka.Produce(ctx, &kgo.Record{Topic: schemas.TopicPrices, Key: []byte(p.Instrument), Value: wire}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
		})
	}
	if err := kafka.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, 60*time.Second, "every number is a row", func() error { return atLeast(u, int64(len(texts))) })
	exact := 0
	for _, row := range u.mustQuery("SELECT trade_id, toString(price) AS price, toString(bid) AS bid, toString(ask) AS ask, toString(size) AS size, bitTest(quality, 0) AS rounded FROM prices") {
		c := cells(row)
		want, _ := new(big.Rat).SetString(c.text("trade_id"))
		for _, column := range []string{"price", "bid", "ask", "size"} {
			got, ok := new(big.Rat).SetString(c.text(column))
			if !ok || got.Cmp(want) != 0 && c.number("rounded") == 0 {
				t.Errorf("%s: %q came back as %q", column, c.text("trade_id"), c.text(column))
			}
		}
		if c.number("rounded") == 0 {
			exact++
		}
	}
	t.Logf("%d numbers, %d of them exact, the others have more than 18 decimals and are flagged", len(texts), exact)
}

// corpusDecimals is every decimal text of the recorded answers' expectations.
func corpusDecimals(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("PRICELAKE_CORPUS")
	if dir == "" && os.Getenv("CI") == "true" {
		t.Fatal("PRICELAKE_CORPUS is not set")
	}
	if dir == "" {
		t.Skip("PRICELAKE_CORPUS is not set: no recorded answers to take numbers from")
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Kind   string `json:"kind"`
		Expect any    `json:"expect"`
	}
	if err := json.Unmarshal(data, &entries); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		if e.Kind == "ok" {
			collectDecimals(e.Expect, seen)
		}
	}
	var texts []string
	for text := range seen {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	if len(texts) < 100 {
		t.Fatalf("the corpus has %d numbers, expected hundreds", len(texts))
	}
	return texts
}

var decimalText = regexp.MustCompile(`^-?\d+(\.\d+)?([eE][+-]?\d+)?$`)

// collectDecimals takes every text that is a number within the 20 integer digits
// of a Decimal; epoch times are numbers as well as any.
func collectDecimals(v any, seen map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			collectDecimals(e, seen)
		}
	case []any:
		for _, e := range v {
			collectDecimals(e, seen)
		}
	case string:
		if decimalText.MatchString(v) && len(strings.SplitN(v, ".", 2)[0]) <= 20 {
			seen[v] = true
		}
	}
}

// quietCatalog is a catalog whose one call is off: nothing but the test writes
// prices.
func quietCatalog(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "quiet.yaml")
	text := `version: 1
instruments:
  - {id: BTC-USD, asset_class: crypto, base: BTC, quote: USD}
calls:
  - id: off
    preset: kraken/ticker
    symbols: {XBTUSD: BTC-USD}
    schedule: {every: 1h}
    enabled: false
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
