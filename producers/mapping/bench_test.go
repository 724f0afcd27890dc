package mapping

import (
	"fmt"
	"strings"
	"testing"
)

func benchmark(b *testing.B, p *Program, body string, prices int) {
	b.Helper()
	resp := answer(body)
	if r := p.Read(resp); len(r.Prices) != prices {
		b.Fatalf("%d prices, want %d: %s", len(r.Prices), prices, r.Error)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		p.Read(resp)
	}
	if prices == 0 {
		return
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(prices), "ns/price")
}

// BenchmarkReadJSON reads a batch of 500 symbols.
func BenchmarkReadJSON(b *testing.B) {
	var names, rows []string
	for i := range 500 {
		name := fmt.Sprintf("S%03dUSDT", i)
		names = append(names, name)
		rows = append(rows, fmt.Sprintf(`{"symbol":%q,"bidPrice":"%d.55000000","bidQty":"0.16356700","askPrice":"%d.10000000","askQty":"0.18635000"}`, name, i+1000, i+1001))
	}
	body := "[" + strings.Join(rows, ",") + "]"
	b.Run("plain", func(b *testing.B) {
		benchmark(b, compiled(b, mapped(b, `{"rows": [".[]"], "symbol": ".symbol", "bid": ".bidPrice", "ask": ".askPrice", "kind": {"value": "quote"}}`), symbolsOf(names...)...), body, 500)
	})
	b.Run("jq", func(b *testing.B) {
		benchmark(b, compiled(b, mapped(b, `{"rows": ["if type == \"array\" then .[] else . end"], "symbol": ".symbol | ascii_upcase", "bid": ".bidPrice // null", "ask": ".askPrice // null", "kind": {"value": "quote"}}`), symbolsOf(names...)...), body, 500)
	})
}

// BenchmarkReadBroken reads an answer of 32 KiB that breaks off in a text.
func BenchmarkReadBroken(b *testing.B) {
	body := `{"price":"1","note":"` + strings.Repeat("x", 32<<10)
	benchmark(b, compiled(b, mapped(b, `{"symbol": ".note", "price": ".price"}`), symbolsOf("A")...), body, 0)
}

// BenchmarkReadXML reads 65 days of 32 rates.
func BenchmarkReadXML(b *testing.B) {
	var names []string
	var body strings.Builder
	for i := range 32 {
		names = append(names, fmt.Sprintf("C%02d", i))
	}
	body.WriteString(`<?xml version="1.0" encoding="UTF-8"?><E><Cube>`)
	for day := range 65 {
		fmt.Fprintf(&body, `<Cube time="2026-%02d-%02d">`, 1+day/28, 1+day%28)
		for i, n := range names {
			fmt.Fprintf(&body, `<Cube currency=%q rate="%d.%04d"/>`, n, 1+i, day*17)
		}
		body.WriteString(`</Cube>`)
	}
	body.WriteString(`</Cube></E>`)
	benchmark(b, compiled(b, mapped(b, `{"format": "xml", "rows": [".E.Cube[0].Cube[]", ".Cube[]"], "symbol": ".[\"@currency\"]", "price": ".[\"@rate\"]", "value_date": {"path": "$up[\"@time\"]"}}`), symbolsOf(names...)...), body.String(), 65*32)
}

// BenchmarkReadCSV reads a table of 200 rows.
func BenchmarkReadCSV(b *testing.B) {
	var names []string
	body := "s;p\n"
	for i := range 200 {
		names = append(names, fmt.Sprintf("C%03d", i))
		body += fmt.Sprintf("C%03d;%d,125\n", i, i)
	}
	benchmark(b, compiled(b, mapped(b, `{"format": "csv", "csv": {"delimiter": ";"}, "rows": [".rows[]"], "symbol": ".s", "price": ".p", "number": {"decimal": ","}}`), symbolsOf(names...)...), body, 200)
}
