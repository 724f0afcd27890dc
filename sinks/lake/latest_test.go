package lake

import "testing"

// The projection newest keeps values as bytes: what prices_latest_rates makes of
// them is what the table holds, to the ends of every type, null or not, and
// whatever was withdrawn.
func TestLatestIsWhatTheTableHolds(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	const fill = `INSERT INTO prices
WITH sipHash64(number) AS h,
    if(bitTest(h, 0), toDecimal128('-99999999999999999999.999999999999999999', 18), reinterpret(toInt128(h), 'Decimal(38, 18)')) AS value
SELECT reinterpretAsUUID(sipHash128(intDiv(number, 2))) AS event_id, toInt32(number % 2) AS revision, h % 7 = 0 AS withdrawn,
    concat('provider-', toString(intDiv(number, 2) % 4)) AS provider, if(bitTest(h, 1), '', 'call \0 é') AS call_id, 'v' AS call_version,
    concat('A', toString(intDiv(number, 2) % 97)) AS instrument, if(bitTest(h, 2), '', repeat('b', toUInt64(h % 300))) AS base, 'ÜSD' AS quote,
    CAST(toInt8(h % 6), 'Enum8(\'unknown\' = 0, \'ticker\' = 1, \'quote\' = 2, \'trade\' = 3, \'fixing\' = 4, \'index\' = 5)') AS kind,
    'last' AS rate_type, if(bitTest(h, 3), 'am', 'p\0m') AS session,
    value AS price, if(bitTest(h, 4), NULL, value) AS bid, if(bitTest(h, 5), NULL, toDecimal128('99999999999999999999.999999999999999999', 18)) AS ask, if(bitTest(h, 6), NULL, value) AS size,
    addMicroseconds(toDateTime64('1965-01-01 00:00:00', 6, 'UTC'), intDiv(number, 2) * 77777777777) AS event_time, 'source' AS event_time_kind,
    [NULL, toDate32('1900-01-01'), toDate32('2299-12-31'), toDate32('1969-12-31')][1 + h % 4] AS value_date, NULL AS published_at,
    event_time AS requested_at, toDateTime64('2299-12-31 23:59:59.999999', 6, 'UTC') AS fetched_at, '' AS trade_id, toInt32(bitOr(toInt32(h), bitShiftLeft(toInt32(1), 31))) AS quality,
    event_id AS poll_id, event_id AS response_id, reinterpretAsUUID(sipHash128(h)) AS correlation_id,
    addSeconds(event_time, number) AS recorded_at, recorded_at AS inserted_at,
    toUUID('5ca1ab1e-0000-4000-8000-000000000001') AS _topic_id, 0 AS _partition, toInt64(number) AS _offset, 1 AS _lake_epoch
FROM numbers(4000)
SETTINGS max_partitions_per_insert_block = 0`
	if err := l.conn.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	const values = "toString(tuple(* EXCEPT age_seconds))"
	const newest = `(SELECT instrument, base, quote, provider, rate_type, kind, session, price, bid, ask, size, event_time, event_time_kind, value_date,
    fetched_at, recorded_at, quality, event_id, revision, call_id, correlation_id, 0 AS age_seconds
FROM (SELECT * FROM prices_current ORDER BY event_time DESC, recorded_at DESC, _offset DESC LIMIT 1 BY instrument, provider, rate_type))`
	answers(t, l,
		"SELECT count() FROM prices_latest_rates", "388",
		"SELECT count() > 0 FROM (SELECT argMax(withdrawn, (event_time, recorded_at, _offset)) AS gone FROM prices GROUP BY instrument, provider) WHERE gone", "1",
		"SELECT count() FROM (SELECT "+values+" FROM prices_latest_rates EXCEPT SELECT "+values+" FROM "+newest+")", "0",
		"SELECT count() FROM (SELECT "+values+" FROM "+newest+" EXCEPT SELECT "+values+" FROM prices_latest_rates)", "0",
	)
}
