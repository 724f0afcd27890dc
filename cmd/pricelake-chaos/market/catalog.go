package market

import (
	"fmt"
	"strings"
	"time"
)

// BrokenCall is a call whose polls all fail: each must end in a dead letter.
const BrokenCall = "chaos-broken"

// Catalog is the catalog file that makes the system poll the API at base, each
// call so often.
func (w World) Catalog(base string, every time.Duration) string {
	var b strings.Builder
	b.WriteString("version: 1\ninstruments:\n")
	for c := range w.Calls {
		for s := range w.Symbols {
			fmt.Fprintf(&b, "  - {id: %s, asset_class: crypto, base: C%02d%02d, quote: USD}\n", Instrument(c, s), c, s)
		}
	}
	b.WriteString("calls:\n")
	for c := range w.Calls {
		symbols := make([]string, w.Symbols)
		for s := range symbols {
			symbols[s] = Symbol(c, s) + ": " + Instrument(c, s)
		}
		fmt.Fprintf(&b, callText, CallID(c), CallID(c), base, c, strings.Join(symbols, ", "), every)
	}
	fmt.Fprintf(&b, brokenText, BrokenCall, BrokenCall, base, Symbol(0, 0), Instrument(0, 0))
	return b.String()
}

const callText = `  - id: %s
    provider: chaos
    account: %s
    request: {url: "%s/v1/trades/%d"}
    symbols: {%s}
    schedule: {every: %s}
    timeout: 5s
    attempts: 5
    backoff: 100ms
    max_backoff: 1s
    max_body: 4MiB
    mapping:
      rows: .items[]
      symbol: .s
      kind: trade
      price: .p
      size: .q
      trade_id: .i
      event_time: {path: .t, format: unix_us}
`

const brokenText = `  - id: %s
    provider: chaos-broken
    account: %s
    request: {url: "%s/v1/broken"}
    symbols: {%s: %s}
    schedule: {every: 5s}
    timeout: 1s
    attempts: 5
    backoff: 50ms
    max_backoff: 200ms
    mapping:
      kind: ticker
      price: .price
`
