-- +goose NO TRANSACTION
-- +goose Up

-- The prices as they stand: of each event its highest revision, unless that one
-- withdraws it. LIMIT BY over the table's own order streams, needs no memory and
-- lets conditions on the keys through to the table.
CREATE OR REPLACE VIEW prices_current
AS SELECT *
FROM
(
    SELECT *
    FROM prices
    ORDER BY instrument, provider, rate_type, event_time, event_id, revision DESC
    LIMIT 1 BY instrument, provider, rate_type, event_time, event_id
)
WHERE NOT withdrawn
COMMENT 'The prices as they stand: of each event its highest revision, unless that one withdraws it';

-- The same as it was known at a time: what was recorded later did not happen.
CREATE OR REPLACE VIEW as_known_at
AS SELECT *
FROM
(
    SELECT *
    FROM prices
    WHERE recorded_at <= {t:DateTime64(6, 'UTC')}
    ORDER BY instrument, provider, rate_type, event_time, event_id, revision DESC
    LIMIT 1 BY instrument, provider, rate_type, event_time, event_id
)
WHERE NOT withdrawn
COMMENT 'prices_current as it was known at a time: as_known_at(t = ''2026-01-31 12:00:00'')';

-- The newest price of each source. Where the newest statement of a source
-- withdraws an event, the one before is looked up in the table; such sources are
-- few, and none is the rule.
CREATE OR REPLACE VIEW prices_latest
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

-- One value of each instrument: the newest of all its sources, a price or, where
-- a source gives none, the middle of bid and ask. What claims to be of the future
-- does not count.
CREATE OR REPLACE VIEW prices_latest_best
AS SELECT instrument, base, quote,
    CAST(coalesce(price, divideDecimal(toDecimal256(bid, 18) + toDecimal256(ask, 18), toDecimal256('2', 0), 18)), 'Nullable(Decimal(38, 18))') AS value,
    if(isNotNull(price), 'price', 'mid') AS value_is,
    provider, kind, rate_type, session, event_time, value_date, fetched_at, age_seconds, event_id, revision
FROM prices_latest
WHERE (isNotNull(price) OR (isNotNull(bid) AND isNotNull(ask))) AND event_time <= now64(6) + toIntervalMinute(5)
ORDER BY event_time DESC, fetched_at DESC, provider, rate_type
LIMIT 1 BY instrument
COMMENT 'One value of each instrument: the newest of all its sources';

-- Bars of any length, of each source on its own. Of equal times the one recorded
-- first comes first. Volume is that of trades.
CREATE OR REPLACE VIEW ohlc
AS SELECT instrument, provider, rate_type,
    toStartOfInterval(event_time, toIntervalSecond({seconds:UInt32})) AS bar,
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
