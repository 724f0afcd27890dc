-- +goose NO TRANSACTION
-- +goose Up

-- The rates of fx_legs as ratios of two whole numbers: one unit of from_currency
-- is times/parts of to_currency.
CREATE OR REPLACE VIEW fx_ratios
AS WITH
    reinterpret(value, 'Int128') AS units,
    toUInt8(least(18, length(toString(units)) - length(trim(TRAILING '0' FROM toString(units))))) AS zeros,
    intDiv(units, toInt128(intExp10(zeros))) AS above,
    toInt128(intExp10(18 - zeros)) AS below
SELECT from_currency, to_currency, event_time, if(inverted, below, above) AS times, if(inverted, above, below) AS parts,
    path, value_date, provider
FROM fx_legs
COMMENT 'The rates of fx_legs as ratios: one unit of from_currency is times/parts of to_currency';

-- Every price as it stands in one currency, each by the rate in force at its
-- instant and at most 14 days old. Null where there is no such rate, and where the
-- product has more than 20 digits before the point.
--
-- multiplyDecimal takes microseconds, too long for millions of rows, so prices are
-- converted in whole numbers: a price in units of its 18th decimal, times and
-- divided by the whole numbers that a rate is the ratio of (1.25 is 125/100, and
-- inverted 100/125). That is exact, cut after the 18th decimal at the very end.
-- Where 128 bits hold the product they are used, else 256; where those do not
-- either, the answer is null. Why this is not the trap of decimals:
-- docs/adr/0020-conversion.md.
CREATE OR REPLACE VIEW prices_in
AS WITH
    multiIf(
        p.quote = {currency:String}, 'same',
        d.event_time > p.event_time - toIntervalDay(14), 'direct',
        e.event_time > p.event_time - toIntervalDay(14) AND ec.event_time > p.event_time - toIntervalDay(14), 'EUR',
        u.event_time > p.event_time - toIntervalDay(14) AND uc.event_time > p.event_time - toIntervalDay(14), 'USD',
        'none') AS way,
    toInt128('1') AS one,
    multiIf(way = 'direct', d.times, way = 'EUR', e.times, way = 'USD', u.times, one) AS times_1,
    multiIf(way = 'direct', d.parts, way = 'EUR', e.parts, way = 'USD', u.parts, one) AS parts_1,
    multiIf(way = 'EUR', ec.times, way = 'USD', uc.times, one) AS times_2,
    multiIf(way = 'EUR', ec.parts, way = 'USD', uc.parts, one) AS parts_2,
    multiply(toFloat64(times_1), toFloat64(times_2)) AS about_times,
    multiply(toFloat64(parts_1), toFloat64(parts_2)) AS about_parts,
    x -> multiIf(
        way = 'none' OR isNull(x), NULL,
        about_parts < 1e38 AND multiply(abs(toFloat64(x)), about_times) < 1e38,
            toInt256(intDiv(multiply(multiply(x, times_1), times_2), multiply(parts_1, parts_2))),
        multiply(abs(toFloat64(x)), about_times) < 5e76,
            intDiv(multiply(toInt256(x), multiply(toInt256(times_1), times_2)), multiply(toInt256(parts_1), parts_2)),
        NULL) AS exchanged,
    x -> if(abs(x) < toInt256('100000000000000000000000000000000000000'), reinterpret(toInt128(x), 'Decimal(38, 18)'), NULL) AS decimal,
    x -> reinterpret(x, 'Int128') AS units
SELECT p.instrument AS instrument, p.base AS base, p.quote AS quote, p.provider AS provider, p.rate_type AS rate_type, p.kind AS kind,
    p.event_time AS event_time, p.price AS price, p.bid AS bid, p.ask AS ask,
    {currency:String} AS currency,
    decimal(exchanged(units(p.price))) AS price_in,
    decimal(exchanged(units(p.bid))) AS bid_in,
    decimal(exchanged(units(p.ask))) AS ask_in,
    decimal(exchanged(toInt128('1000000000000000000'))) AS rate,
    multiIf(way = 'same', 'same', way = 'direct', d.path, way = 'EUR', concat(e.path, ' ', ec.path), way = 'USD', concat(u.path, ' ', uc.path), '') AS rate_path,
    multiIf(way = 'same', p.event_time, way = 'direct', d.event_time,
        way = 'EUR', least(e.event_time, ec.event_time), way = 'USD', least(u.event_time, uc.event_time), NULL) AS rate_time,
    dateDiff('second', rate_time, p.event_time) AS rate_age_seconds,
    p.value_date AS value_date, p.event_id AS event_id, p.revision AS revision
FROM (SELECT *, 'EUR' AS eur, 'USD' AS usd FROM prices_current) AS p
ASOF LEFT JOIN (SELECT * FROM fx_ratios WHERE to_currency = {currency:String}) AS d
    ON p.quote = d.from_currency AND p.event_time >= d.event_time
ASOF LEFT JOIN (SELECT * FROM fx_ratios WHERE to_currency = 'EUR') AS e
    ON p.quote = e.from_currency AND p.event_time >= e.event_time
ASOF LEFT JOIN (SELECT * FROM fx_ratios WHERE from_currency = 'EUR' AND to_currency = {currency:String}) AS ec
    ON p.eur = ec.from_currency AND p.event_time >= ec.event_time
ASOF LEFT JOIN (SELECT * FROM fx_ratios WHERE to_currency = 'USD') AS u
    ON p.quote = u.from_currency AND p.event_time >= u.event_time
ASOF LEFT JOIN (SELECT * FROM fx_ratios WHERE from_currency = 'USD' AND to_currency = {currency:String}) AS uc
    ON p.usd = uc.from_currency AND p.event_time >= uc.event_time
COMMENT 'Every price in one currency, with the rate, its time and age: prices_in(currency = ''EUR'')';
