-- Ninety days of fixings of thirty currencies against the euro.
INSERT INTO prices
WITH
    ['USD', 'GBP', 'JPY', 'CHF', 'CAD', 'AUD', 'SEK', 'NOK', 'DKK', 'PLN', 'CZK', 'HUF', 'RON', 'BGN', 'TRY', 'BRL', 'CNY', 'HKD', 'IDR', 'ILS', 'INR', 'KRW', 'MXN', 'MYR', 'NZD', 'PHP', 'SGD', 'THB', 'ZAR', 'ISK'] AS currencies,
    intDiv(number, 30) AS day,
    toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalDay(day) AS at
SELECT
    reinterpretAsUUID(sipHash128('fixing', number)) AS event_id, 0 AS revision, false AS withdrawn,
    'ecb' AS provider, 'ecb-daily' AS call_id, 'version-ecb' AS call_version,
    concat('EUR-', currencies[1 + number % 30]) AS instrument, 'EUR' AS base, currencies[1 + number % 30] AS quote,
    'fixing' AS kind, 'official' AS rate_type, '' AS session,
    CAST(reinterpret(toInt64(5000 + sipHash64(number) % 20000), 'Decimal64(4)'), 'Decimal(38, 18)') AS price, NULL AS bid, NULL AS ask, NULL AS size,
    at AS event_time, 'value_date' AS event_time_kind, toDate32(at) AS value_date, NULL AS published_at,
    at + toIntervalHour(15) AS requested_at, requested_at AS fetched_at, '' AS trade_id, 0 AS quality,
    reinterpretAsUUID(sipHash128('poll', day)) AS poll_id, poll_id AS response_id, poll_id AS correlation_id,
    requested_at + toIntervalSecond(1) AS recorded_at, recorded_at AS inserted_at,
    toUUID('5ca1ab1e-0000-4000-8000-000000000001') AS _topic_id, 0 AS _partition, toInt64(1000000000000) + number AS _offset, 1 AS _lake_epoch
FROM numbers(2700)
