-- +goose NO TRANSACTION
-- +goose Up

-- The newest price of each source and rate type: what prices_latest was until a
-- source with several rate types (a bank that buys and sells) had several rows
-- there. Where the newest statement withdraws an event, the one before is looked
-- up in the table; such sources are few, and none is the rule.
CREATE OR REPLACE VIEW prices_latest_rates
AS WITH
    all_newest AS
    (
        SELECT instrument, provider, rate_type,
            argMax(
                (event_id, revision, withdrawn, kind, session, base, quote, price, bid, ask, size, event_time, event_time_kind,
                value_date, fetched_at, recorded_at, quality, call_id, correlation_id),
                bitOr(bitOr(
                bitShiftLeft(toUInt256(toUInt64(toUnixTimestamp64Micro(event_time) + 2208988800000000)), 128),
                bitShiftLeft(toUInt256(toUInt64(toUnixTimestamp64Micro(recorded_at) + 2208988800000000)), 64)),
                toUInt256(_offset))) AS newest
        FROM prices
        GROUP BY instrument, provider, rate_type
    )
SELECT
    instrument, base, quote, provider, rate_type, kind, session, price, bid, ask, size, event_time, event_time_kind, value_date,
    fetched_at, recorded_at, quality, event_id, revision, call_id, correlation_id,
    dateDiff('second', event_time, now64(6)) AS age_seconds
FROM
(
    SELECT instrument, provider, rate_type,
        newest.6 AS base, newest.7 AS quote,
        newest.4 AS kind, newest.5 AS session,
        newest.8 AS price, newest.9 AS bid, newest.10 AS ask, newest.11 AS size,
        newest.12 AS event_time, newest.13 AS event_time_kind, newest.14 AS value_date,
        newest.15 AS fetched_at, newest.16 AS recorded_at, newest.17 AS quality,
        newest.1 AS event_id, newest.2 AS revision, newest.18 AS call_id, newest.19 AS correlation_id
    FROM all_newest
    WHERE NOT newest.3
    UNION ALL
    SELECT instrument, provider, rate_type,
        base, quote,
        kind, session,
        price, bid, ask, size,
        event_time, event_time_kind, value_date,
        fetched_at, recorded_at, quality,
        event_id, revision, call_id, correlation_id
    FROM prices_current
    WHERE (instrument, provider, rate_type) IN (SELECT instrument, provider, rate_type FROM all_newest WHERE newest.3)
    ORDER BY event_time DESC, recorded_at DESC, _offset DESC
    LIMIT 1 BY instrument, provider, rate_type
)
COMMENT 'The newest price of each instrument, provider and rate type, with its age';

-- One row for each instrument and provider. Of several rate types the newest
-- goes, and of one instant that which comes nearest to the price.
CREATE OR REPLACE VIEW prices_latest
AS SELECT *
FROM prices_latest_rates
ORDER BY event_time DESC,
    indexOf(['last', 'mid', 'official', 'index', 'settlement', 'close', 'none', 'sell', 'buy'], CAST(rate_type, 'String')),
    recorded_at DESC
LIMIT 1 BY instrument, provider
COMMENT 'The newest price of each instrument and provider, with its age';

-- One value of each instrument: the newest of all its sources, a price or, where
-- a source gives none, the middle of bid and ask. What claims to be of the future
-- does not count.
CREATE OR REPLACE VIEW prices_latest_best
AS SELECT instrument, base, quote,
    CAST(coalesce(price, divideDecimal(toDecimal256(bid, 18) + toDecimal256(ask, 18), toDecimal256('2', 0), 18)), 'Nullable(Decimal(38, 18))') AS value,
    if(isNotNull(price), 'price', 'mid') AS value_is,
    provider, kind, rate_type, session, event_time, value_date, fetched_at, age_seconds, event_id, revision
FROM prices_latest_rates
WHERE (isNotNull(price) OR (isNotNull(bid) AND isNotNull(ask))) AND event_time <= now64(6) + toIntervalMinute(5)
ORDER BY event_time DESC, fetched_at DESC, provider, rate_type
LIMIT 1 BY instrument
COMMENT 'One value of each instrument: the newest of all its sources';

-- Bars without gaps, from start to before end. A bar in which nothing happened
-- has the close before it as open, high, low and close, no volume and no prices;
-- filled says so. A source begins with its first bar, or at start if it has had a
-- price in the 14 days before.
CREATE OR REPLACE VIEW ohlc_filled
AS WITH
    {seconds:UInt32} AS length,
    toInt64(intDiv(toUnixTimestamp({start:DateTime64(6, 'UTC')}) + length - 1, length)) AS first_slot,
    toInt64(intDiv(toUnixTimestamp({end:DateTime64(6, 'UTC')}) + length - 1, length)) AS end_slot,
    toDecimal256('0', 18) AS nothing,
    bars AS
    (
        SELECT instrument, provider, rate_type,
            greatest(toInt64(intDiv(toUnixTimestamp(event_time), length)), first_slot - 1) AS slot,
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
    toDateTime(multiply(at, length), 'UTC') AS bar,
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
