package simulator

// The currencies of the central banks, in the order in which they are printed.
// Levels are made up.

func ecbCurrencies() []currency {
	return []currency{
		{code: "USD", level: 1_0850000000, scale: 4},
		{code: "JPY", level: 168_2000000000, scale: 2},
		{code: "CZK", level: 24_6500000000, scale: 3},
		{code: "DKK", level: 7_4590000000, scale: 4},
		{code: "GBP", level: 8540000000, scale: 5},
		{code: "HUF", level: 388_5000000000, scale: 2},
		{code: "PLN", level: 4_2900000000, scale: 4},
		{code: "RON", level: 4_9760000000, scale: 4},
		{code: "SEK", level: 11_4200000000, scale: 4},
		{code: "CHF", level: 9720000000, scale: 4},
		{code: "ISK", level: 149_8000000000, scale: 2},
		{code: "NOK", level: 11_5600000000, scale: 4},
		{code: "TRY", level: 35_1200000000, scale: 4},
		{code: "AUD", level: 1_6320000000, scale: 4},
		{code: "BRL", level: 5_7100000000, scale: 4},
		{code: "CAD", level: 1_4820000000, scale: 4},
		{code: "CNY", level: 7_8600000000, scale: 4},
		{code: "HKD", level: 8_4700000000, scale: 4},
		{code: "IDR", level: 17420_0000000000, scale: 2},
		{code: "ILS", level: 4_0300000000, scale: 4},
		{code: "INR", level: 90_3000000000, scale: 4},
		{code: "KRW", level: 1492_0000000000, scale: 2},
		{code: "MXN", level: 18_6500000000, scale: 4},
		{code: "MYR", level: 5_0900000000, scale: 4},
		{code: "NZD", level: 1_7740000000, scale: 4},
		{code: "PHP", level: 63_2000000000, scale: 3},
		{code: "SGD", level: 1_4640000000, scale: 4},
		{code: "THB", level: 39_3500000000, scale: 3},
		{code: "ZAR", level: 20_1100000000, scale: 4},
	}
}

func cnbCurrencies() []currency {
	return []currency{
		{code: "AUD", level: 15_1000000000, scale: 3, amount: 1, lead: "Austrálie|dolar"},
		{code: "BRL", level: 4_3100000000, scale: 3, amount: 1, lead: "Brazílie|real"},
		{code: "CNY", level: 3_1360000000, scale: 3, amount: 1, lead: "Čína|renminbi"},
		{code: "DKK", level: 3_3050000000, scale: 3, amount: 1, lead: "Dánsko|koruna"},
		{code: "EUR", level: 24_6500000000, scale: 3, amount: 1, lead: "EMU|euro"},
		{code: "PHP", level: 39_0000000000, scale: 3, amount: 100, lead: "Filipíny|peso"},
		{code: "HKD", level: 2_9100000000, scale: 3, amount: 1, lead: "Hongkong|dolar"},
		{code: "INR", level: 27_3000000000, scale: 3, amount: 100, lead: "Indie|rupie"},
		{code: "IDR", level: 1_4150000000, scale: 3, amount: 1000, lead: "Indonesie|rupie"},
		{code: "ISK", level: 16_4500000000, scale: 3, amount: 100, lead: "Island|koruna"},
		{code: "ILS", level: 6_1100000000, scale: 3, amount: 1, lead: "Izrael|nový šekel"},
		{code: "JPY", level: 14_6500000000, scale: 3, amount: 100, lead: "Japonsko|jen"},
		{code: "ZAR", level: 1_2260000000, scale: 3, amount: 1, lead: "Jižní Afrika|rand"},
		{code: "CAD", level: 16_6300000000, scale: 3, amount: 1, lead: "Kanada|dolar"},
		{code: "KRW", level: 1_6520000000, scale: 3, amount: 100, lead: "Korejská republika|won"},
		{code: "HUF", level: 6_3450000000, scale: 3, amount: 100, lead: "Maďarsko|forint"},
		{code: "MYR", level: 4_8430000000, scale: 3, amount: 1, lead: "Malajsie|ringgit"},
		{code: "MXN", level: 1_3220000000, scale: 3, amount: 1, lead: "Mexiko|peso"},
		{code: "XDR", level: 30_0100000000, scale: 3, amount: 1, lead: "MMF|ZPČ"},
		{code: "NOK", level: 2_1320000000, scale: 3, amount: 1, lead: "Norsko|koruna"},
		{code: "NZD", level: 13_8900000000, scale: 3, amount: 1, lead: "Nový Zéland|dolar"},
		{code: "PLN", level: 5_7460000000, scale: 3, amount: 1, lead: "Polsko|zlotý"},
		{code: "RON", level: 4_9540000000, scale: 3, amount: 1, lead: "Rumunsko|leu"},
		{code: "SGD", level: 16_8400000000, scale: 3, amount: 1, lead: "Singapur|dolar"},
		{code: "SEK", level: 2_1580000000, scale: 3, amount: 1, lead: "Švédsko|koruna"},
		{code: "CHF", level: 25_3600000000, scale: 3, amount: 1, lead: "Švýcarsko|frank"},
		{code: "THB", level: 62_6400000000, scale: 3, amount: 100, lead: "Thajsko|baht"},
		{code: "TRY", level: 70_1900000000, scale: 3, amount: 100, lead: "Turecko|lira"},
		{code: "USD", level: 22_7200000000, scale: 3, amount: 1, lead: "USA|dolar"},
		{code: "GBP", level: 28_8600000000, scale: 3, amount: 1, lead: "Velká Británie|libra"},
	}
}
