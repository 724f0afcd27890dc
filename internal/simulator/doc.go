// Package simulator is an HTTP server that answers like real price APIs, with
// prices that move and with the trouble real ones make, and that keeps a ledger
// of everything it served. The demo polls it, and so does every test of the
// whole path: what the lake holds is compared with the ledger.
//
// Every provider lives under its id, followed by its real path:
//
//	/coinbase-exchange/products/BTC-USD/ticker          ticker, ISO time with microseconds
//	/coinbase-exchange/products/BTC-USD/trades?limit=50  trades with ids, newest first
//	/kraken/0/public/Ticker?pair=XBTUSD,ETHUSD          tickers under Kraken's own names (XXBTZUSD), no time
//	/kraken/0/public/Trades?pair=XBTUSD&count=50        trades with ids, oldest first
//	/binance/api/v3/ticker/bookTicker?symbols=["BTCUSDT","ETHUSDT"]  bid and ask, no time
//	/binance/api/v3/ticker/price?symbol=BTCUSDT         last price, no time
//	/binance/api/v3/trades?symbol=BTCUSDT&limit=50      trades with ids, oldest first
//	/ecb/stats/eurofxref/eurofxref-daily.xml            the latest fixings
//	/ecb/stats/eurofxref/eurofxref-hist-90d.xml         the fixings of 90 days, TARGET business days only
//	/frankfurter/v1/latest?base=EUR&symbols=USD,GBP     the same fixings as JSON numbers
//	/frankfurter/v1/2024-05-31                          those of a date, or of the business day before it
//	/cnb/cs/financni-trhy/devizovy-trh/kurzy-devizoveho-trhu/kurzy-devizoveho-trhu/denni_kurz.txt  the latest fixings against the koruna, separated by bars
//	/broken/...                                         status 500, always
//
// Prices are integers of ticks and are printed as text: no float is involved.
// They are a function of the seed, the clock and the number of the request to
// its address (path and query), so two servers with the same seed and clock
// that are asked the same serve the same bytes.
//
// Beside the providers:
//
//	GET  /ledger?from=SEQ&limit=N&body=true   a LedgerPage of what was served
//	GET  /ledger/summary                      a Summary
//	POST /control                             a Control: force trouble, set rates, restate, freeze
//	GET  /healthz                             200 once it serves
//
// # Matching an answer to its entry
//
// Every answer of a provider carries the header X-Simulator-Id, the id of its
// ledger entry. A poller that keeps selected response headers must keep it
// under the lower-case name HeaderID, "x-simulator-id": the comparison of the
// ledger with the lake (package ledgercheck) joins on it.
package simulator
