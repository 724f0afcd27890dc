-- +goose NO TRANSACTION
-- +goose Up

-- Parts of a gibibyte at most. What is inserted together is of about one time, so
-- a part is of some days, and of a question about a day the others are not even
-- opened: each knows from when to when its rows are. In the order of instruments
-- a granule holds many days, so a part has to be read whole. That there are more
-- than 1,000 parts in a month is no sign of inserts that are too small, then.
-- A lake of more than some hundred million rows a month may want larger parts:
-- docs/capacity.md.
ALTER TABLE prices MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1073741824, max_avg_part_size_for_too_many_parts = 134217728;

-- The rate between two currencies at an instant: the newest between the two, else
-- through EUR, else through USD, none older than 14 days. No row: there is none, or
-- none that has at most 20 digits before the point. Time, date and age are those of
-- the older leg. The same whole numbers as in prices_in: docs/adr/0020-conversion.md.
CREATE OR REPLACE VIEW fx_asof
AS WITH
    legs AS
    (
        SELECT *
        FROM fx_ratios
        WHERE event_time <= {at:DateTime64(6, 'UTC')} AND event_time > {at:DateTime64(6, 'UTC')} - toIntervalDay(14)
            AND from_currency IN ({base:String}, 'EUR', 'USD') AND to_currency IN ({quote:String}, 'EUR', 'USD')
        ORDER BY event_time DESC
        LIMIT 1 BY from_currency, to_currency
    ),
    ways AS
    (
        SELECT 0 AS place, toInt256('1') AS times, toInt256('1') AS parts, 'same' AS path, {at:DateTime64(6, 'UTC')} AS event_time,
            CAST(NULL, 'Nullable(Date32)') AS value_date, CAST([], 'Array(String)') AS providers
        WHERE {base:String} = {quote:String}
        UNION ALL
        SELECT 1 AS place, toInt256(times) AS times, toInt256(parts) AS parts, path, event_time, value_date, [provider] AS providers
        FROM legs
        WHERE from_currency = {base:String} AND to_currency = {quote:String}
        UNION ALL
        SELECT if(a.to_currency = 'EUR', 2, 3) AS place, multiply(toInt256(a.times), b.times) AS times, multiply(toInt256(a.parts), b.parts) AS parts,
            concat(a.path, ' ', b.path) AS path,
            least(a.event_time, b.event_time) AS event_time,
            if(a.event_time <= b.event_time, a.value_date, b.value_date) AS value_date,
            [a.provider, b.provider] AS providers
        FROM legs AS a
        INNER JOIN legs AS b ON a.to_currency = b.from_currency
        WHERE a.from_currency = {base:String} AND b.to_currency = {quote:String} AND a.to_currency IN ('EUR', 'USD')
    )
SELECT {base:String} AS base, {quote:String} AS quote, {at:DateTime64(6, 'UTC')} AS at,
    reinterpret(toInt128(units), 'Decimal(38, 18)') AS rate, path, event_time, value_date, providers,
    dateDiff('second', event_time, at) AS age_seconds
FROM
(
    SELECT *, intDiv(multiply(toInt256('1000000000000000000'), times), parts) AS units
    FROM ways
    ORDER BY place
    LIMIT 1
)
WHERE toFloat64(times) < 5e58 AND units < toInt256('100000000000000000000000000000000000000')
COMMENT 'The rate between two currencies at an instant: fx_asof(base = ''USD'', quote = ''GBP'', at = ''2026-01-31 12:00:00'')';

-- Bars of any length, of each source on its own. Of equal times the one recorded
-- first comes first. Volume is that of trades. In seconds the server would count in
-- 32 bits: bars of before 1970 came out in 2104.
CREATE OR REPLACE VIEW ohlc
AS SELECT instrument, provider, rate_type,
    CAST(toStartOfInterval(event_time, toIntervalMillisecond(multiply({seconds:UInt32}, 1000))), 'DateTime64(0, \'UTC\')') AS bar,
    argMin(value, (event_time, recorded_at, _offset)) AS open,
    max(value) AS high,
    min(value) AS low,
    argMax(value, (event_time, recorded_at, _offset)) AS close,
    sum(toDecimal256(ifNull(size, toDecimal128('0', 18)), 18)) AS volume,
    count() AS prices
FROM
(
    SELECT instrument, provider, rate_type, event_time, recorded_at, _offset, size,
        assumeNotNull(CAST(coalesce(price, divideDecimal(toDecimal256(bid, 18) + toDecimal256(ask, 18), toDecimal256('2', 0), 18)), 'Nullable(Decimal(38, 18))')) AS value
    FROM prices_current
    WHERE isNotNull(price) OR (isNotNull(bid) AND isNotNull(ask))
)
GROUP BY instrument, provider, rate_type, bar
COMMENT 'Bars of each source: ohlc(seconds = 60). Of prices, or of the middle of bid and ask where a source gives none';

-- Bars without gaps, from start to before end. A bar in which nothing happened
-- has the close before it as open, high, low and close, no volume and no prices;
-- filled says so. A source begins with its first bar, or at start if it has had a
-- price in the 14 days before.
CREATE OR REPLACE VIEW ohlc_filled
AS WITH
    {seconds:UInt32} AS length,
    multiply(toInt64(length), 1000000) AS micros,
    toUnixTimestamp64Micro({start:DateTime64(6, 'UTC')}) AS start_micros,
    toUnixTimestamp64Micro({end:DateTime64(6, 'UTC')}) AS end_micros,
    -- The first bar that begins at a time or later, before 1970 too.
    intDiv(start_micros + positiveModulo(-start_micros, micros), micros) AS first_slot,
    intDiv(end_micros + positiveModulo(-end_micros, micros), micros) AS end_slot,
    toDecimal256('0', 18) AS nothing,
    bars AS
    (
        SELECT instrument, provider, rate_type,
            greatest(intDiv(toUnixTimestamp64Micro(event_time) - positiveModulo(toUnixTimestamp64Micro(event_time), micros), micros), first_slot - 1) AS slot,
            argMin(value, (event_time, recorded_at, _offset)) AS open,
            max(value) AS high,
            min(value) AS low,
            argMax(value, (event_time, recorded_at, _offset)) AS close,
            sum(toDecimal256(ifNull(size, toDecimal128('0', 18)), 18)) AS volume,
            count() AS prices
        FROM
        (
            SELECT instrument, provider, rate_type, event_time, recorded_at, _offset, size,
                assumeNotNull(CAST(coalesce(price, divideDecimal(toDecimal256(bid, 18) + toDecimal256(ask, 18), toDecimal256('2', 0), 18)), 'Nullable(Decimal(38, 18))')) AS value
            FROM prices_current
            WHERE (isNotNull(price) OR (isNotNull(bid) AND isNotNull(ask)))
                AND event_time >= {start:DateTime64(6, 'UTC')} - toIntervalDay(14) AND event_time < {end:DateTime64(6, 'UTC')}
        )
        GROUP BY instrument, provider, rate_type, slot
    ),
    spans AS
    (
        SELECT *, leadInFrame(slot, 1, end_slot) OVER (PARTITION BY instrument, provider, rate_type ORDER BY slot ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
        FROM bars
    )
SELECT instrument, provider, rate_type,
    fromUnixTimestamp64Second(multiply(at, toInt64(length)), 'UTC') AS bar,
    if(filled, close, spans.open) AS open,
    if(filled, close, spans.high) AS high,
    if(filled, close, spans.low) AS low,
    close,
    if(filled, nothing, spans.volume) AS volume,
    if(filled, 0, spans.prices) AS prices,
    toBool(at > slot) AS filled
FROM spans
ARRAY JOIN range(slot, greatest(next, slot)) AS at
WHERE at >= first_slot
COMMENT 'Bars without gaps: ohlc_filled(seconds = 60, start = ''2026-01-05 10:00:00'', end = ''2026-01-05 11:00:00'')';
