-- +goose NO TRANSACTION
-- +goose Up

-- Work that could not be done, with the original record.
CREATE TABLE IF NOT EXISTS dead_letters
(
    dead_letter_id    UUID                             COMMENT 'Identity: where the record was',
    origin_topic      LowCardinality(String)           COMMENT 'Topic of the record that was given up',
    origin_topic_id   UUID                             COMMENT 'Id of that topic',
    origin_partition  Int32                            COMMENT 'Partition of the record' CODEC(T64, ZSTD(1)),
    origin_offset     Int64                            COMMENT 'Offset of the record' CODEC(Delta, ZSTD(1)),
    origin_timestamp  DateTime64(6, 'UTC')             COMMENT 'Its timestamp' CODEC(Delta, ZSTD(1)),
    role              LowCardinality(String)           COMMENT 'Who gave it up',
    reason            Enum8('unknown' = 0, 'attempts' = 1, 'decode' = 2, 'unknown_call' = 3, 'refused' = 4, 'too_large' = 5, 'invalid' = 6) COMMENT 'Why',
    error             String                           COMMENT 'The same in words' CODEC(ZSTD(1)),
    attempts          Int32                            COMMENT 'How often it was tried' CODEC(T64, ZSTD(1)),
    call_id           LowCardinality(String)           COMMENT 'The call, if it is known',
    correlation_id    Nullable(UUID)                   COMMENT 'If it is known',
    failed_at         DateTime64(6, 'UTC')             COMMENT 'When it was given up' CODEC(Delta, ZSTD(1)),
    key               String                           COMMENT 'Key of the record' CODEC(ZSTD(1)),
    value             String                           COMMENT 'Value of the record, byte for byte' CODEC(ZSTD(1)),
    headers           Map(String, String)              COMMENT 'Headers of the record' CODEC(ZSTD(1)),
    recorded_at       DateTime64(6, 'UTC')             COMMENT 'When the broker recorded it' CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(6, 'UTC')             COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id         UUID                             COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition        Int32                            COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset           Int64                            COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch       UInt32                           COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(failed_at)
ORDER BY (origin_topic, failed_at, dead_letter_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Records that could not be used, with the original bytes and the reason';
