package simulator

// The products of the exchanges. Levels are round and made up.

func coinbaseProducts() []product {
	return []product{
		{symbol: "BTC-USD", moves: "BTC", level: 64_000_0000000000, tick: 2, text: 2, size: 1_200_000},
		{symbol: "BTC-USDT", moves: "BTC", level: 64_020_0000000000, tick: 2, text: 2, size: 400_000},
		{symbol: "BTC-EUR", moves: "BTC/EUR", level: 59_000_0000000000, tick: 2, text: 2, size: 600_000},
		{symbol: "ETH-USD", moves: "ETH", level: 3_100_0000000000, tick: 2, text: 2, size: 30_000_000},
		{symbol: "ETH-USDT", moves: "ETH", level: 3_101_0000000000, tick: 2, text: 2, size: 20_000_000},
		{symbol: "ETH-EUR", moves: "ETH/EUR", level: 2_860_0000000000, tick: 2, text: 2, size: 20_000_000},
		{symbol: "ETH-BTC", moves: "ETH/BTC", level: 484_000000, tick: 5, text: 5, size: 20_000_000},
		{symbol: "SOL-USD", moves: "SOL", level: 148_0000000000, tick: 2, text: 2, size: 900_000_000},
		{symbol: "XRP-USD", moves: "XRP", level: 6_200000000, tick: 4, text: 4, size: 40_000_000_000},
		{symbol: "LTC-USD", moves: "LTC", level: 82_0000000000, tick: 2, text: 2, size: 500_000_000},
		{symbol: "DOGE-USD", moves: "DOGE", level: 1_540000000, tick: 5, text: 5, size: 90_000_000_000},
		{symbol: "ADA-USD", moves: "ADA", level: 4_600000000, tick: 4, text: 4, size: 50_000_000_000},
	}
}

func krakenProducts() []product {
	return []product{
		{symbol: "XXBTZUSD", asked: "XBTUSD", moves: "BTC", level: 64_000_0000000000, tick: 1, text: 5, size: 1_500_000},
		{symbol: "XXBTZEUR", asked: "XBTEUR", moves: "BTC/EUR", level: 59_000_0000000000, tick: 1, text: 5, size: 1_500_000},
		{symbol: "XBTCHF", asked: "XBTCHF", moves: "BTC/CHF", level: 56_500_0000000000, tick: 1, text: 5, size: 200_000},
		{symbol: "XBTUSDT", asked: "XBTUSDT", moves: "BTC", level: 64_020_0000000000, tick: 1, text: 5, size: 500_000},
		{symbol: "XETHZUSD", asked: "ETHUSD", moves: "ETH", level: 3_100_0000000000, tick: 2, text: 5, size: 30_000_000},
		{symbol: "XETHZEUR", asked: "ETHEUR", moves: "ETH/EUR", level: 2_860_0000000000, tick: 2, text: 5, size: 20_000_000},
		{symbol: "ETHUSDT", asked: "ETHUSDT", moves: "ETH", level: 3_101_0000000000, tick: 2, text: 5, size: 20_000_000},
		{symbol: "XETHXXBT", asked: "ETHXBT", moves: "ETH/BTC", level: 484_000000, tick: 5, text: 5, size: 20_000_000},
		{symbol: "SOLUSD", asked: "SOLUSD", moves: "SOL", level: 148_0000000000, tick: 2, text: 5, size: 900_000_000},
		{symbol: "XXRPZUSD", asked: "XRPUSD", moves: "XRP", level: 6_200000000, tick: 5, text: 5, size: 40_000_000_000},
		{symbol: "XLTCZUSD", asked: "LTCUSD", moves: "LTC", level: 82_0000000000, tick: 2, text: 5, size: 500_000_000},
		{symbol: "XDGUSD", asked: "XDGUSD", moves: "DOGE", level: 1_540000000, tick: 7, text: 7, size: 90_000_000_000},
		{symbol: "ADAUSD", asked: "ADAUSD", moves: "ADA", level: 4_600000000, tick: 6, text: 6, size: 50_000_000_000},
		{symbol: "ZEURZUSD", asked: "EURUSD", moves: "EUR", level: 1_0850000000, tick: 5, text: 5, size: 40_000_000_000},
	}
}

func binanceProducts() []product {
	return []product{
		{symbol: "BTCUSDT", moves: "BTC", level: 64_020_0000000000, tick: 2, text: 8, size: 1_000_000},
		{symbol: "BTCEUR", moves: "BTC/EUR", level: 59_000_0000000000, tick: 2, text: 8, size: 300_000},
		{symbol: "ETHUSDT", moves: "ETH", level: 3_101_0000000000, tick: 2, text: 8, size: 25_000_000},
		{symbol: "ETHEUR", moves: "ETH/EUR", level: 2_860_0000000000, tick: 2, text: 8, size: 9_000_000},
		{symbol: "ETHBTC", moves: "ETH/BTC", level: 484_000000, tick: 5, text: 8, size: 20_000_000},
		{symbol: "BNBUSDT", moves: "BNB", level: 580_0000000000, tick: 2, text: 8, size: 40_000_000},
		{symbol: "SOLUSDT", moves: "SOL", level: 148_0000000000, tick: 2, text: 8, size: 700_000_000},
		{symbol: "XRPUSDT", moves: "XRP", level: 6_200000000, tick: 4, text: 8, size: 30_000_000_000},
		{symbol: "LTCUSDT", moves: "LTC", level: 82_0000000000, tick: 2, text: 8, size: 400_000_000},
		{symbol: "DOGEUSDT", moves: "DOGE", level: 1_540000000, tick: 5, text: 8, size: 90_000_000_000},
		{symbol: "ADAUSDT", moves: "ADA", level: 4_600000000, tick: 4, text: 8, size: 50_000_000_000},
		{symbol: "EURUSDT", moves: "EUR", level: 1_0850000000, tick: 4, text: 8, size: 30_000_000_000},
	}
}
