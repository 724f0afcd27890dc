-- +goose NO TRANSACTION
-- +goose Up

-- One row for each call of an API, with every attempt and every symbol.
CREATE TABLE IF NOT EXISTS polls
(
    poll_id           UUID                             COMMENT 'Identity of the poll',
    correlation_id    UUID                             COMMENT 'Given when the poll was asked for',
    call_id           LowCardinality(String)           COMMENT 'The call of the catalog',
    call_version      LowCardinality(String)           COMMENT 'Hash of the version of the call',
    provider          LowCardinality(String)           COMMENT 'Who was asked',
    account           LowCardinality(String)           COMMENT 'Whose rate limit it used',
    origin            Enum8('unknown' = 0, 'schedule' = 1, 'api' = 2, 'backfill' = 3, 'replay' = 4) COMMENT 'Who asked for it',
    slot              DateTime64(6, 'UTC')             COMMENT 'The instant the schedule meant' CODEC(Delta, ZSTD(1)),
    requested_at      DateTime64(6, 'UTC')             COMMENT 'When it was asked for' CODEC(Delta, ZSTD(1)),
    started_at        DateTime64(6, 'UTC')             COMMENT 'When the first attempt began' CODEC(Delta, ZSTD(1)),
    finished_at       DateTime64(6, 'UTC')             COMMENT 'When the last attempt ended' CODEC(Delta, ZSTD(1)),
    outcome           Enum8('unknown' = 0, 'valued' = 1, 'partial' = 2, 'absent' = 3, 'unparsable' = 4, 'error_answer' = 5, 'failed' = 6, 'too_large' = 7, 'unknown_call' = 8) COMMENT 'What it brought',
    error             String                           COMMENT 'Why it brought nothing that parses' CODEC(ZSTD(1)),
    requested         Int32                            COMMENT 'Symbols asked for: valued + absent + failed' CODEC(T64, ZSTD(1)),
    valued            Int32                            COMMENT 'Symbols with a value' CODEC(T64, ZSTD(1)),
    absent            Int32                            COMMENT 'Symbols the answer does not have' CODEC(T64, ZSTD(1)),
    failed            Int32                            COMMENT 'Symbols without a usable answer' CODEC(T64, ZSTD(1)),
    unlisted          Int32                            COMMENT 'Rows of the answer whose symbol the call does not list' CODEC(T64, ZSTD(1)),
    attempts Nested
    (
        number          Int32,
        started_at      DateTime64(6, 'UTC'),
        duration_micros Int64,
        status          Int32,
        outcome         Enum8('unknown' = 0, 'ok' = 1, 'rate_limited' = 2, 'status' = 3, 'timeout' = 4, 'network' = 5, 'too_large' = 6, 'setup' = 7),
        error           String,
        response_id     Nullable(UUID),
        waited_micros   Int64
    ) COMMENT 'One for each HTTP request, status 0: no answer. Unfold with ARRAY JOIN attempts',
    symbols Nested
    (
        symbol          String,
        instrument      String,
        outcome         Enum8('unknown' = 0, 'valued' = 1, 'absent' = 2, 'failed' = 3),
        reason          String
    ) COMMENT 'One for each symbol asked for. Unfold with ARRAY JOIN symbols',
    recorded_at       DateTime64(6, 'UTC')             COMMENT 'When the broker recorded it' CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(6, 'UTC')             COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id         UUID                             COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition        Int32                            COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset           Int64                            COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch       UInt32                           COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(finished_at)
ORDER BY (call_id, slot, poll_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'One row for each finished poll: what was asked for and what became of it';
