-- +goose NO TRANSACTION
-- +goose Up

-- Every answer, verbatim. Its body goes when the terms of the source say so; the
-- row stays, so that each price leads back to the answer that made it.
CREATE TABLE IF NOT EXISTS responses
(
    response_id       UUID                             COMMENT 'Identity: the poll and the attempt',
    poll_id           UUID                             COMMENT 'The row of polls',
    correlation_id    UUID                             COMMENT 'Given when the poll was asked for',
    call_id           LowCardinality(String)           COMMENT 'The call of the catalog',
    call_version      LowCardinality(String)           COMMENT 'Hash of the version of the call',
    provider          LowCardinality(String)           COMMENT 'Who was asked',
    attempt           Int32                            COMMENT 'Which attempt of the poll, from 1' CODEC(T64, ZSTD(1)),
    slot              DateTime64(6, 'UTC')             COMMENT 'The instant the schedule meant' CODEC(Delta, ZSTD(1)),
    requested_at      DateTime64(6, 'UTC')             COMMENT 'When this request was sent' CODEC(Delta, ZSTD(1)),
    fetched_at        DateTime64(6, 'UTC')             COMMENT 'When the answer had been read to its end' CODEC(Delta, ZSTD(1)),
    method            LowCardinality(String)           COMMENT 'HTTP method',
    url               String                           COMMENT 'Without secrets' CODEC(ZSTD(1)),
    status            Int32                            COMMENT 'HTTP status' CODEC(T64, ZSTD(1)),
    headers           Map(String, String)              COMMENT 'The few that matter, names in lower case' CODEC(ZSTD(1)),
    body              String                           COMMENT 'The answer, byte for byte, decompressed. Empty after retention_days' CODEC(ZSTD(3)) TTL toDateTime(fetched_at) + toIntervalDay(retention_days),
    body_bytes        Int64                            COMMENT 'Length of the body, also when it is gone' CODEC(T64, ZSTD(1)),
    retention_days    UInt16                           COMMENT 'Days the body is kept, by the terms of the source' CODEC(T64, ZSTD(1)),
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
ORDER BY (provider, call_id, fetched_at, response_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every answer of every API, verbatim';
