package avro

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// TestCorpusDecimals: every number that a recorded answer is expected to give
// comes back numerically equal from text and from Avro, ours and goavro's.
func TestCorpusDecimals(t *testing.T) {
	numbers := corpusNumbers(t)
	if len(numbers) < 150 {
		t.Fatalf("only %d numbers found", len(numbers))
	}
	codec := newCodec[schemas.Price](t, schemas.TopicPrices)
	for _, text := range numbers {
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("%q is no number for math/big", text)
		}
		d, rounded, err := schemas.ParseDecimal(text)
		if err != nil || rounded {
			t.Errorf("%q: rounded %v, %v", text, rounded, err)
			continue
		}
		price := typicalPrice(t)
		price.Price = schemas.NullDecimal{Decimal: d, Valid: true}
		price.Size = schemas.NullDecimal{Decimal: d.Neg(), Valid: true}
		wire, err := codec.Append(nil, price)
		if err != nil {
			t.Fatal(err)
		}
		var back schemas.Price
		if err := codec.Decode(t.Context(), wire, &back); err != nil {
			t.Fatal(err)
		}
		generic, err := codec.client.DecodeJSON(t.Context(), wire)
		if err != nil {
			t.Fatal(err)
		}
		var printed struct{ Price, Size string }
		if err := json.Unmarshal(generic, &printed); err != nil {
			t.Fatal(err)
		}
		for _, got := range []string{d.String(), back.Price.Decimal.String(), back.Size.Decimal.Neg().String(), printed.Price} {
			if rat, ok := new(big.Rat).SetString(got); !ok || rat.Cmp(want) != 0 {
				t.Errorf("%q came back as %q", text, got)
			}
		}
		if rat, ok := new(big.Rat).SetString(printed.Size); !ok || rat.Neg(rat).Cmp(want) != 0 {
			t.Errorf("-%q came back as %q", text, printed.Size)
		}
	}
	t.Logf("%d numbers", len(numbers))
}

// corpusNumbers returns every value of the corpus' expectations that looks like
// a decimal number.
func corpusNumbers(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("PRICELAKE_CORPUS")
	if dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("PRICELAKE_CORPUS names no directory of recorded answers")
		}
		t.Skip("PRICELAKE_CORPUS names no directory of recorded answers")
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
	looksDecimal := regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$`)
	var numbers []string
	var collect func(any)
	collect = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			for _, child := range v {
				collect(child)
			}
		case []any:
			for _, child := range v {
				collect(child)
			}
		case json.Number:
			numbers = append(numbers, v.String())
		case string:
			if text := strings.TrimSpace(v); looksDecimal.MatchString(text) {
				numbers = append(numbers, text)
			}
		}
	}
	for _, entry := range entries {
		if entry.Kind == "ok" {
			collect(entry.Expect)
		}
	}
	return numbers
}
