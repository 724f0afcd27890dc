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

-- Every price as it stands in one currency, each by the rate in force at its
-- instant and at most 14 days old. Null where there is no such rate, and where the
-- product has more than 20 digits before the point. Computed in whole numbers:
-- docs/adr/0020-conversion.md.
--
-- A price is joined with two lines of time: r has the newest rates of its currency
-- to the one asked for, to EUR and to USD, h those of EUR and USD to the one asked
-- for. So the rates are read twice, and not once for each leg. Each step is a
-- query of its own because the server writes an alias out wherever it is used.
-- way: 1 the same currency, 2 directly, 3 through EUR, 4 through USD, 0 none.
-- Where 128 bits hold the product, and they nearly always do (below most), there is
-- one multiplication and one division for each amount; else it is done in 256 bits.
CREATE OR REPLACE VIEW prices_in
AS SELECT instrument, base, quote, provider, rate_type, kind, event_time, price, bid, ask,
    {currency:String} AS currency,
    multiIf(
        way = 0 OR isNull(price), NULL,
        abs(toFloat64(price_units)) < most, reinterpret(intDiv(multiply(price_units, times), parts), 'Decimal(38, 18)'),
        multiply(abs(toFloat64(price_units)), about_times) < 5e76 AND abs(intDiv(multiply(toInt256(price_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))) < toInt256('100000000000000000000000000000000000000'), reinterpret(toInt128(intDiv(multiply(toInt256(price_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))), 'Decimal(38, 18)'),
        NULL) AS price_in,
    multiIf(
        way = 0 OR isNull(bid), NULL,
        abs(toFloat64(bid_units)) < most, reinterpret(intDiv(multiply(bid_units, times), parts), 'Decimal(38, 18)'),
        multiply(abs(toFloat64(bid_units)), about_times) < 5e76 AND abs(intDiv(multiply(toInt256(bid_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))) < toInt256('100000000000000000000000000000000000000'), reinterpret(toInt128(intDiv(multiply(toInt256(bid_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))), 'Decimal(38, 18)'),
        NULL) AS bid_in,
    multiIf(
        way = 0 OR isNull(ask), NULL,
        abs(toFloat64(ask_units)) < most, reinterpret(intDiv(multiply(ask_units, times), parts), 'Decimal(38, 18)'),
        multiply(abs(toFloat64(ask_units)), about_times) < 5e76 AND abs(intDiv(multiply(toInt256(ask_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))) < toInt256('100000000000000000000000000000000000000'), reinterpret(toInt128(intDiv(multiply(toInt256(ask_units), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))), 'Decimal(38, 18)'),
        NULL) AS ask_in,
    if(way > 0 AND multiply(1e18, about_times) < 5e76 AND intDiv(multiply(toInt256('1000000000000000000'), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2)) < toInt256('100000000000000000000000000000000000000'), reinterpret(toInt128(intDiv(multiply(toInt256('1000000000000000000'), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2))), 'Decimal(38, 18)'), NULL) AS rate,
    multiIf(way = 1, 'same', way = 2, direct_path, way = 3, concat(eur_path, ' ', from_eur_path), way = 4, concat(usd_path, ' ', from_usd_path), '') AS rate_path,
    multiIf(way = 1, event_time, way = 2, direct_time, way = 3, least(eur_time, from_eur_time), way = 4, least(usd_time, from_usd_time), NULL) AS rate_time,
    dateDiff('second', rate_time, event_time) AS rate_age_seconds,
    value_date, event_id, revision
FROM
(
    SELECT *,
        if(small, multiply(times_1, times_2), toInt128('1')) AS times,
        if(small, multiply(parts_1, parts_2), toInt128('1')) AS parts,
        if(small, divide(1e38, about_times), 0.) AS most
    FROM
    (
        SELECT *,
            multiply(toFloat64(times_1), toFloat64(times_2)) AS about_times,
            about_times < 1e38 AND multiply(toFloat64(parts_1), toFloat64(parts_2)) < 1e38 AS small
        FROM
        (
            SELECT *,
                reinterpret(assumeNotNull(price), 'Int128') AS price_units, reinterpret(assumeNotNull(bid), 'Int128') AS bid_units, reinterpret(assumeNotNull(ask), 'Int128') AS ask_units,
                multiIf(way = 2, direct_times, way = 3, eur_times, way = 4, usd_times, toInt128('1')) AS times_1,
                multiIf(way = 2, direct_parts, way = 3, eur_parts, way = 4, usd_parts, toInt128('1')) AS parts_1,
                multiIf(way = 3, from_eur_times, way = 4, from_usd_times, toInt128('1')) AS times_2,
                multiIf(way = 3, from_eur_parts, way = 4, from_usd_parts, toInt128('1')) AS parts_2
            FROM
            (
                SELECT p.instrument AS instrument, p.base AS base, p.quote AS quote, p.provider AS provider, p.rate_type AS rate_type, p.kind AS kind,
                    p.event_time AS event_time, p.price AS price, p.bid AS bid, p.ask AS ask, p.value_date AS value_date, p.event_id AS event_id, p.revision AS revision,
                    direct_time, direct_times, direct_parts, direct_path, eur_time, eur_times, eur_parts, eur_path, usd_time, usd_times, usd_parts, usd_path,
                    from_eur_time, from_eur_times, from_eur_parts, from_eur_path, from_usd_time, from_usd_times, from_usd_parts, from_usd_path,
                    p.event_time - toIntervalDay(14) AS since,
                    multiIf(
                        p.quote = {currency:String}, 1,
                        direct_parts > 0 AND direct_time > since, 2,
                        eur_parts > 0 AND from_eur_parts > 0 AND eur_time > since AND from_eur_time > since, 3,
                        usd_parts > 0 AND from_usd_parts > 0 AND usd_time > since AND from_usd_time > since, 4,
                        0) AS way
                FROM
                (
                    SELECT instrument, base, quote, provider, rate_type, kind, event_time, price, bid, ask, value_date, event_id, revision, 'hub' AS hub
                    FROM prices_current
                ) AS p
                ASOF LEFT JOIN
                (
                    SELECT from_currency, event_time,
                        direct.1 AS direct_time, direct.2 AS direct_times, direct.3 AS direct_parts, direct.4 AS direct_path,
                        eur.1 AS eur_time, eur.2 AS eur_times, eur.3 AS eur_parts, eur.4 AS eur_path,
                        usd.1 AS usd_time, usd.2 AS usd_times, usd.3 AS usd_parts, usd.4 AS usd_path
                    FROM
                    (
                        SELECT from_currency, event_time,
                            argMaxIf((event_time, times, parts, path), event_time, to_currency = {currency:String}) OVER so_far AS direct,
                            argMaxIf((event_time, times, parts, path), event_time, to_currency = 'EUR') OVER so_far AS eur,
                            argMaxIf((event_time, times, parts, path), event_time, to_currency = 'USD') OVER so_far AS usd
                        FROM fx_ratios
                        WHERE to_currency IN ({currency:String}, 'EUR', 'USD')
                        WINDOW so_far AS (PARTITION BY from_currency ORDER BY event_time)
                    )
                ) AS r
                    ON p.quote = r.from_currency AND p.event_time >= r.event_time
                ASOF LEFT JOIN
                (
                    SELECT 'hub' AS hub, event_time,
                        from_eur.1 AS from_eur_time, from_eur.2 AS from_eur_times, from_eur.3 AS from_eur_parts, from_eur.4 AS from_eur_path,
                        from_usd.1 AS from_usd_time, from_usd.2 AS from_usd_times, from_usd.3 AS from_usd_parts, from_usd.4 AS from_usd_path
                    FROM
                    (
                        SELECT event_time,
                            argMaxIf((event_time, times, parts, path), event_time, from_currency = 'EUR') OVER so_far AS from_eur,
                            argMaxIf((event_time, times, parts, path), event_time, from_currency = 'USD') OVER so_far AS from_usd
                        FROM fx_ratios
                        WHERE from_currency IN ('EUR', 'USD') AND to_currency = {currency:String}
                        WINDOW so_far AS (ORDER BY event_time)
                    )
                ) AS h
                    ON p.hub = h.hub AND p.event_time >= h.event_time
            )
        )
    )
)
COMMENT 'Every price in one currency, with the rate, its time and age: prices_in(currency = ''EUR'')';

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
