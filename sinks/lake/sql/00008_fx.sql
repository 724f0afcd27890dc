-- +goose NO TRANSACTION
-- +goose Up

-- Arithmetic on decimals is done by multiplyDecimal and divideDecimal in 256
-- bits, never by operators: those overflow without a word (30000 * 1.0 = 55.15).
-- Both cut what is beyond the wanted decimals, so rates carry 36 of them until
-- the last step. Both take microseconds, so they are left to the last step too:
-- until then a rate is the value that was published and whether to invert it.

-- What conversions are made with: fixings, and prices of instruments of class fx.
-- Of several sources at one instant an official rate goes first, then the one
-- recorded last. It does not stand on prices_current: all revisions of an event
-- have one kind, base and quote, so conditions on those may come first, and find
-- the few fixings by index.
CREATE OR REPLACE VIEW fx_rates
AS SELECT base, quote, event_time, value AS rate, value_date, provider, instrument, kind, rate_type, recorded_at, event_id, revision
FROM
(
    SELECT *,
        ifNull(if(isNotNull(price), price, CAST(divideDecimal(toDecimal256(bid, 18) + toDecimal256(ask, 18), toDecimal256('2', 0), 18), 'Nullable(Decimal(38, 18))')), toDecimal128('0', 18)) AS value
    FROM
    (
        SELECT *
        FROM
        (
            SELECT *
            FROM prices
            WHERE kind = 'fixing' AND rate_type NOT IN ('buy', 'sell')
            ORDER BY instrument, provider, rate_type, event_time, event_id, revision DESC
            LIMIT 1 BY instrument, provider, rate_type, event_time, event_id, base, quote
        )
        UNION ALL
        SELECT *
        FROM
        (
            SELECT *
            FROM prices
            WHERE kind != 'fixing' AND rate_type NOT IN ('buy', 'sell')
                AND instrument IN (SELECT instrument FROM instruments WHERE asset_class = 'fx')
            ORDER BY instrument, provider, rate_type, event_time, event_id, revision DESC
            LIMIT 1 BY instrument, provider, rate_type, event_time, event_id, base, quote
        )
    )
    WHERE NOT withdrawn
)
WHERE value > toDecimal128('0', 18)
ORDER BY base, quote, event_time, rate_type = 'official' DESC, recorded_at DESC, provider
LIMIT 1 BY base, quote, event_time
COMMENT 'Rates that conversions are made with, one of each pair and instant';

-- The rates of fx_rates in both directions; of one instant the direct one.
CREATE OR REPLACE VIEW fx_legs
AS SELECT *
FROM
(
    SELECT base AS from_currency, quote AS to_currency, event_time, rate AS value, false AS inverted,
        CAST(instrument, 'String') AS path, value_date, CAST(provider, 'String') AS provider
    FROM fx_rates
    UNION ALL
    SELECT quote AS from_currency, base AS to_currency, event_time, rate AS value, true AS inverted,
        concat('1/', instrument) AS path, value_date, CAST(provider, 'String') AS provider
    FROM fx_rates
)
ORDER BY from_currency, to_currency, event_time, inverted
LIMIT 1 BY from_currency, to_currency, event_time
COMMENT 'The rates of fx_rates in both directions: one unit of from_currency is value of to_currency, or 1/value if inverted';

-- The rate between two currencies at an instant: direct, else inverse, else
-- through EUR, else through USD, none older than 14 days. No row: there is none.
-- Time, date and age are those of the older leg.
CREATE OR REPLACE VIEW fx_asof
AS WITH
    newest AS
    (
        SELECT *
        FROM fx_legs
        WHERE event_time <= {at:DateTime64(6, 'UTC')} AND event_time > {at:DateTime64(6, 'UTC')} - toIntervalDay(14)
            AND from_currency IN ({base:String}, 'EUR', 'USD') AND to_currency IN ({quote:String}, 'EUR', 'USD')
        ORDER BY inverted, event_time DESC
        LIMIT 1 BY from_currency, to_currency, inverted
    ),
    legs AS (SELECT * FROM newest ORDER BY inverted LIMIT 1 BY from_currency, to_currency)
SELECT {base:String} AS base, {quote:String} AS quote, {at:DateTime64(6, 'UTC')} AS at,
    CAST(rate, 'Decimal(38, 18)') AS rate, path, event_time, value_date, providers,
    dateDiff('second', event_time, at) AS age_seconds
FROM
(
    SELECT 0 AS place, toDecimal256('1', 36) AS rate, 'same' AS path, {at:DateTime64(6, 'UTC')} AS event_time,
        CAST(NULL, 'Nullable(Date32)') AS value_date, CAST([], 'Array(String)') AS providers
    WHERE {base:String} = {quote:String}
    UNION ALL
    SELECT 1 + inverted AS place, if(l.inverted, divideDecimal(toDecimal256('1', 18), if(l.value > toDecimal128('0', 18), toDecimal256(l.value, 18), toDecimal256('1', 18)), 36), toDecimal256(l.value, 36)) AS rate, path, event_time, value_date, [provider] AS providers
    FROM legs AS l
    WHERE from_currency = {base:String} AND to_currency = {quote:String}
    UNION ALL
    SELECT if(a.to_currency = 'EUR', 3, 4) AS place,
        multiplyDecimal(
            if(a.inverted, divideDecimal(toDecimal256('1', 18), if(a.value > toDecimal128('0', 18), toDecimal256(a.value, 18), toDecimal256('1', 18)), 36), toDecimal256(a.value, 36)),
            if(b.inverted, divideDecimal(toDecimal256('1', 18), if(b.value > toDecimal128('0', 18), toDecimal256(b.value, 18), toDecimal256('1', 18)), 36), toDecimal256(b.value, 36)),
            36) AS rate,
        concat(a.path, ' ', b.path) AS path,
        least(a.event_time, b.event_time) AS event_time,
        if(a.event_time <= b.event_time, a.value_date, b.value_date) AS value_date,
        [a.provider, b.provider] AS providers
    FROM legs AS a
    INNER JOIN legs AS b ON a.to_currency = b.from_currency
    WHERE a.from_currency = {base:String} AND b.to_currency = {quote:String} AND a.to_currency IN ('EUR', 'USD')
)
ORDER BY place
LIMIT 1
COMMENT 'The rate between two currencies at an instant: fx_asof(base = ''USD'', quote = ''GBP'', at = ''2026-01-31 12:00:00'')';

-- Every price as it stands in one currency, each by the rate in force at its
-- instant and at most 14 days old. Null where there is no such rate, and where the
-- product has more than 20 digits before the point.
CREATE OR REPLACE VIEW prices_in
AS WITH
    multiIf(
        p.quote = {currency:String}, 'same',
        d.event_time > p.event_time - toIntervalDay(14), 'direct',
        e.event_time > p.event_time - toIntervalDay(14) AND ec.event_time > p.event_time - toIntervalDay(14), 'EUR',
        u.event_time > p.event_time - toIntervalDay(14) AND uc.event_time > p.event_time - toIntervalDay(14), 'USD',
        'none') AS way,
    multiIf(
        way = 'same', toNullable(toDecimal256('1', 36)),
        way = 'direct', toNullable(if(d.inverted, divideDecimal(toDecimal256('1', 18), if(d.value > toDecimal128('0', 18), toDecimal256(d.value, 18), toDecimal256('1', 18)), 36), toDecimal256(d.value, 36))),
        way = 'EUR', toNullable(multiplyDecimal(
            if(e.inverted, divideDecimal(toDecimal256('1', 18), if(e.value > toDecimal128('0', 18), toDecimal256(e.value, 18), toDecimal256('1', 18)), 36), toDecimal256(e.value, 36)),
            if(ec.inverted, divideDecimal(toDecimal256('1', 18), if(ec.value > toDecimal128('0', 18), toDecimal256(ec.value, 18), toDecimal256('1', 18)), 36), toDecimal256(ec.value, 36)),
            36)),
        way = 'USD', toNullable(multiplyDecimal(
            if(u.inverted, divideDecimal(toDecimal256('1', 18), if(u.value > toDecimal128('0', 18), toDecimal256(u.value, 18), toDecimal256('1', 18)), 36), toDecimal256(u.value, 36)),
            if(uc.inverted, divideDecimal(toDecimal256('1', 18), if(uc.value > toDecimal128('0', 18), toDecimal256(uc.value, 18), toDecimal256('1', 18)), 36), toDecimal256(uc.value, 36)),
            36)),
        NULL) AS fx
SELECT p.instrument AS instrument, p.base AS base, p.quote AS quote, p.provider AS provider, p.rate_type AS rate_type, p.kind AS kind,
    p.event_time AS event_time, p.price AS price, p.bid AS bid, p.ask AS ask,
    {currency:String} AS currency,
    accurateCastOrNull(multiplyDecimal(toDecimal256(p.price, 18), fx, 18), 'Decimal(38, 18)') AS price_in,
    accurateCastOrNull(multiplyDecimal(toDecimal256(p.bid, 18), fx, 18), 'Decimal(38, 18)') AS bid_in,
    accurateCastOrNull(multiplyDecimal(toDecimal256(p.ask, 18), fx, 18), 'Decimal(38, 18)') AS ask_in,
    CAST(fx, 'Nullable(Decimal(38, 18))') AS rate,
    multiIf(way = 'same', 'same', way = 'direct', d.path, way = 'EUR', concat(e.path, ' ', ec.path), way = 'USD', concat(u.path, ' ', uc.path), '') AS rate_path,
    multiIf(way = 'same', p.event_time, way = 'direct', d.event_time,
        way = 'EUR', least(e.event_time, ec.event_time), way = 'USD', least(u.event_time, uc.event_time), NULL) AS rate_time,
    dateDiff('second', rate_time, p.event_time) AS rate_age_seconds,
    p.value_date AS value_date, p.event_id AS event_id, p.revision AS revision
FROM (SELECT *, 'EUR' AS eur, 'USD' AS usd FROM prices_current) AS p
ASOF LEFT JOIN (SELECT * FROM fx_legs WHERE to_currency = {currency:String}) AS d
    ON p.quote = d.from_currency AND p.event_time >= d.event_time
ASOF LEFT JOIN (SELECT * FROM fx_legs WHERE to_currency = 'EUR') AS e
    ON p.quote = e.from_currency AND p.event_time >= e.event_time
ASOF LEFT JOIN (SELECT * FROM fx_legs WHERE from_currency = 'EUR' AND to_currency = {currency:String}) AS ec
    ON p.eur = ec.from_currency AND p.event_time >= ec.event_time
ASOF LEFT JOIN (SELECT * FROM fx_legs WHERE to_currency = 'USD') AS u
    ON p.quote = u.from_currency AND p.event_time >= u.event_time
ASOF LEFT JOIN (SELECT * FROM fx_legs WHERE from_currency = 'USD' AND to_currency = {currency:String}) AS uc
    ON p.usd = uc.from_currency AND p.event_time >= uc.event_time
COMMENT 'Every price in one currency, with the rate, its time and age: prices_in(currency = ''EUR'')';
