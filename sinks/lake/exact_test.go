package lake

import (
	"bytes"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// priceCodec is the codec of the price topics, over a registry that knows their
// schema.
func priceCodec(t *testing.T) *avro.Codec[schemas.Price] {
	t.Helper()
	registry := srfake.NewRegistry()
	server := httptest.NewServer(registry.Handler())
	t.Cleanup(server.Close)
	for _, s := range avro.Schemas() {
		if s.Topic == schemas.TopicPrices {
			registry.SeedSchema(s.Name, 1, 7, sr.Schema{Schema: s.Schema, Type: sr.TypeAvro})
		}
	}
	client, err := avro.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := avro.NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return codec
}

// throughTheLake sends each number as price and its opposite as size, in Avro,
// and returns what SQL says they are.
func throughTheLake(t *testing.T, numbers []string) (prices, sizes []string) {
	t.Helper()
	l := openLake(t)
	codec := priceCodec(t)
	s := openSink(t, l)
	decoders := jsonDecoders()
	decoders.Prices = valueRows{codec}
	s.loaders = decoders.loaders(func(string, string) int32 { return 0 }, nil)
	b := block(record(t, schemas.TopicPrices, 0, "x"))
	b.Records = nil
	for i, text := range numbers {
		p := somePrice(t, i)
		p.Price = dec(t, text)
		p.Size = schemas.NullDecimal{Decimal: p.Price.Decimal.Neg(), Valid: true}
		wire, err := codec.Append(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		b.Records = append(b.Records, record(t, schemas.TopicPrices, int64(i), wire))
	}
	b.Last = int64(len(numbers) - 1)
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// ClickHouse's own text, not this driver's.
	column := func(name string) []string {
		return strings.Split(ask(t, l, "SELECT toString("+name+") FROM prices ORDER BY _offset"), "\n")
	}
	// And the driver's is the same.
	if own := strings.Split(ask(t, l, "SELECT price FROM prices ORDER BY _offset"), "\n"); !slices.Equal(own, column("price")) {
		t.Error("Query writes decimals otherwise than ClickHouse")
	}
	return column("price"), column("size")
}

// sameNumbers fails unless got is numerically want, and opposite its opposite.
func sameNumbers(t *testing.T, want, got, opposite []string) {
	t.Helper()
	if len(got) != len(want) || len(opposite) != len(want) {
		t.Fatalf("%d numbers came back as %d and %d", len(want), len(got), len(opposite))
	}
	for i := range want {
		w, ok := new(big.Rat).SetString(want[i])
		g, ok2 := new(big.Rat).SetString(got[i])
		o, ok3 := new(big.Rat).SetString(opposite[i])
		if !ok || !ok2 || !ok3 || g.Cmp(w) != 0 || o.Neg(o).Cmp(w) != 0 {
			t.Errorf("%q came back as %q, its opposite as %q", want[i], got[i], opposite[i])
		}
	}
}

// Every decimal that the recorded answers are expected to give is the number
// that SQL returns.
func TestCorpusDecimalsThroughTheLake(t *testing.T) {
	t.Parallel()
	numbers := corpusNumbers(t)
	if len(numbers) < 150 {
		t.Fatalf("only %d numbers found", len(numbers))
	}
	prices, sizes := throughTheLake(t, numbers)
	sameNumbers(t, numbers, prices, sizes)
	t.Logf("%d numbers", len(numbers))
}

// So is every other: up to 20 digits before and 18 after the point.
func TestAnyDecimalThroughTheLake(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(rng.IntN(10))
		}
		return string(b)
	}
	numbers := []string{"0", "1", "0.000000000000000001", "99999999999999999999.999999999999999999", "18446744073709551616", "18.446744073709551616", "0.1", "1e19", "1E-18"}
	for range 3000 {
		numbers = append(numbers, "1"+digits(rng.IntN(20))+"."+digits(1+rng.IntN(18)))
	}
	prices, sizes := throughTheLake(t, numbers)
	sameNumbers(t, numbers, prices, sizes)
}

// corpusNumbers returns every value of the corpus' expectations that looks like
// a decimal number.
func corpusNumbers(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("PRICELAKE_CORPUS")
	if dir == "" {
		const missing = "PRICELAKE_CORPUS names no directory of recorded answers"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Kind   string
		Expect any
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&entries); err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, e := range entries {
		if e.Kind == "ok" {
			numbers = collect(numbers, e.Expect)
		}
	}
	return numbers
}

func collect(numbers []string, value any) []string {
	switch v := value.(type) {
	case map[string]any:
		for _, k := range sorted(v) {
			numbers = collect(numbers, v[k])
		}
	case []any:
		for _, child := range v {
			numbers = collect(numbers, child)
		}
	case json.Number:
		numbers = append(numbers, v.String())
	case string:
		if text := strings.TrimSpace(v); regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$`).MatchString(text) {
			numbers = append(numbers, text)
		}
	}
	return numbers
}
