-- One day of prices, or of the restatements of every hundredth of them, in the
-- order of the table. Of five providers three give tickers, one quotes and one
-- trades. Offsets go with time over twelve partitions, as they would come.
INSERT INTO prices
WITH
    intDiv(number, ticks) AS series,
    number % ticks AS tick,
    intDiv(series, 5) AS i,
    series % 5 AS p,
    sipHash64(series, {day:UInt32}, tick) AS h,
    {ticks:UInt32} AS ticks,
    (toInt64(1000000 + i * 10007 % 9000000) + toInt64(h % 20011) + {revision:Int32}) AS level,
    toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalDay({day:UInt32})
        + toIntervalMicrosecond(intDiv(86400000000 * tick, ticks) + h % 900000) AS at
SELECT
    reinterpretAsUUID(sipHash128(series, {day:UInt32}, tick)) AS event_id,
    {revision:Int32} AS revision,
    false AS withdrawn,
    concat('provider-', toString(p)) AS provider,
    concat('call-', toString(p), '-', toString(i % 20)) AS call_id,
    concat('version-', toString(p)) AS call_version,
    concat('A', leftPad(toString(i), 4, '0'), '-', quote) AS instrument,
    concat('A', leftPad(toString(i), 4, '0')) AS base,
    ['USD', 'EUR', 'GBP', 'JPY', 'CHF', 'CAD', 'AUD', 'SEK'][1 + i % 8] AS quote,
    multiIf(p = 3, 'quote', p = 4, 'trade', 'ticker') AS kind,
    if(p = 3, 'none', 'last') AS rate_type,
    '' AS session,
    if(p = 3, NULL, CAST(reinterpret(level, 'Decimal64(4)'), 'Decimal(38, 18)')) AS price,
    if(p = 4, NULL, CAST(reinterpret(level - 25, 'Decimal64(4)'), 'Decimal(38, 18)')) AS bid,
    if(p = 4, NULL, CAST(reinterpret(level + 25, 'Decimal64(4)'), 'Decimal(38, 18)')) AS ask,
    if(p = 4, CAST(reinterpret(toInt64(h % 100000000), 'Decimal64(8)'), 'Decimal(38, 18)'), NULL) AS size,
    at AS event_time,
    'source' AS event_time_kind,
    NULL AS value_date,
    NULL AS published_at,
    at + toIntervalMillisecond(100) AS requested_at,
    at + toIntervalMillisecond(180 + h % 50) AS fetched_at,
    if(p = 4, toString(number), '') AS trade_id,
    0 AS quality,
    reinterpretAsUUID(sipHash128('poll', p, i % 20, {day:UInt32}, tick)) AS poll_id,
    reinterpretAsUUID(sipHash128('response', p, i % 20, {day:UInt32}, tick)) AS response_id,
    reinterpretAsUUID(sipHash128('correlation', p, i % 20, {day:UInt32}, tick)) AS correlation_id,
    at + toIntervalMillisecond(400) + toIntervalHour({revision:Int32}) AS recorded_at,
    recorded_at + toIntervalSecond(1) AS inserted_at,
    toUUID('5ca1ab1e-0000-4000-8000-000000000001') AS _topic_id,
    series % {partitions:UInt32} AS _partition,
    ((toInt64({day:UInt32}) * 2 + {revision:Int32}) * ticks + tick) * intDiv(5000 + {partitions:UInt32} - 1, {partitions:UInt32}) + intDiv(series, {partitions:UInt32}) AS _offset,
    1 AS _lake_epoch
FROM
(
    SELECT number * if({revision:Int32} = 0, 1, 100) AS number
    FROM numbers({first:UInt64}, {rows:UInt64})
)
