-- +goose NO TRANSACTION
-- +goose Up

-- What could not become a price, with the reason. Nothing is dropped silently.
CREATE TABLE IF NOT EXISTS prices_rejected
(
    reject_id         UUID                             COMMENT 'Identity: the answer and the place in it',
    reason            Enum8('unknown' = 0, 'unparsable' = 1, 'error_answer' = 2, 'bad_number' = 3, 'too_large' = 4, 'bad_time' = 5, 'unknown_symbol' = 6, 'no_value' = 7, 'float' = 8, 'unknown_call' = 9, 'invalid' = 10) COMMENT 'Why it is no price',
    detail            String                           COMMENT 'The same in words' CODEC(ZSTD(1)),
    provider          LowCardinality(String)           COMMENT 'Who was asked',
    call_id           LowCardinality(String)           COMMENT 'The call of the catalog',
    call_version      LowCardinality(String)           COMMENT 'Hash of the version of the call that read it',
    instrument        LowCardinality(String)           COMMENT 'Empty: the whole answer, or a symbol nobody knows',
    symbol            String                           COMMENT 'The name the source uses' CODEC(ZSTD(1)),
    fragment          String                           COMMENT 'The offending part of the answer, at most 4 KiB' CODEC(ZSTD(1)),
    fetched_at        DateTime64(6, 'UTC')             COMMENT 'When the answer had been read to its end' CODEC(Delta, ZSTD(1)),
    poll_id           UUID                             COMMENT 'The row of polls',
    response_id       UUID                             COMMENT 'The row of responses',
    correlation_id    UUID                             COMMENT 'Given when the poll was asked for',
    recorded_at       DateTime64(6, 'UTC')             COMMENT 'When the broker recorded it' CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(6, 'UTC')             COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id         UUID                             COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition        Int32                            COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset           Int64                            COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch       UInt32                           COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(fetched_at)
ORDER BY (provider, call_id, fetched_at, reject_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Values, or whole answers, that could not become a price, and why';
