-- +goose NO TRANSACTION
-- +goose Up

-- How each call does, from the polls of the last 7 days: when it last brought a
-- value, and whether three intervals have passed since.
CREATE OR REPLACE VIEW freshness
AS SELECT call_id, c.provider AS provider, c.enabled AS enabled,
    intDiv(c.every_micros, 1000000) AS interval_seconds,
    p.last_poll_at AS last_poll_at, p.last_outcome AS last_outcome, p.last_error AS last_error,
    p.last_value_at AS last_value_at,
    dateDiff('second', last_value_at, now64(6)) AS age_seconds,
    c.enabled AND c.every_micros > 0 AND (isNull(last_value_at) OR age_seconds > multiply(interval_seconds, 3)) AS stale
FROM calls AS c
LEFT JOIN
(
    SELECT call_id,
        toNullable(max(finished_at)) AS last_poll_at,
        argMax(outcome, finished_at) AS last_outcome,
        argMax(error, finished_at) AS last_error,
        maxIf(toNullable(finished_at), outcome IN ('valued', 'partial')) AS last_value_at
    FROM polls
    WHERE finished_at > now64(6) - toIntervalDay(7)
    GROUP BY call_id
) AS p USING (call_id)
COMMENT 'How each call does: when it last brought a value, and whether that is too long ago';

-- Slots without a value, as far as the polls of the last 30 days tell: a poll
-- that brought none, and slots that nobody asked for between two that somebody
-- did. Calls with a cron schedule have no regular interval, so of those only the
-- first kind is known.
CREATE OR REPLACE VIEW gaps
AS WITH
    known AS
    (
        SELECT call_id, any(provider) AS provider, slot, max(outcome IN ('valued', 'partial')) AS valued,
            argMax(outcome, finished_at) AS last_outcome
        FROM polls
        WHERE finished_at > now64(6) - toIntervalDay(30)
        GROUP BY call_id, slot
    )
SELECT call_id, provider, slot AS from_slot, slot AS to_slot, 1 AS slots, CAST(last_outcome, 'String') AS reason
FROM known
WHERE NOT valued
UNION ALL
SELECT call_id, provider,
    fromUnixTimestamp64Micro(at + every_micros, 'UTC') AS from_slot,
    fromUnixTimestamp64Micro(next - every_micros, 'UTC') AS to_slot,
    intDiv(next - at, every_micros) - 1 AS slots,
    'not_polled' AS reason
FROM
(
    SELECT call_id, k.provider AS provider, c.every_micros AS every_micros,
        toUnixTimestamp64Micro(k.slot) AS at,
        leadInFrame(toUnixTimestamp64Micro(k.slot)) OVER (PARTITION BY call_id ORDER BY k.slot ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
    FROM known AS k
    INNER JOIN (SELECT call_id, every_micros FROM calls WHERE every_micros > 0) AS c USING (call_id)
)
WHERE next > 0 AND intDiv(next - at, every_micros) > 1
COMMENT 'Slots without a value, and why, as far as the polls of the last 30 days tell';
