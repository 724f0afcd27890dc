-- +goose NO TRANSACTION
-- +goose Up

-- The catalog, from its compacted topics. A null value is a row with removed set.
CREATE TABLE IF NOT EXISTS instruments_history
(
    instrument        String                           COMMENT 'Our name',
    removed           Bool                             COMMENT 'This definition says that it is gone',
    asset_class       LowCardinality(String)           COMMENT 'fx, crypto, equity and so on',
    base              LowCardinality(String)           COMMENT 'What is priced',
    quote             LowCardinality(String)           COMMENT 'The currency the price is in',
    unit              LowCardinality(String)           COMMENT 'The unit of base',
    minor_unit_factor Decimal(38, 18)                  COMMENT '1, or 0.01 where the source quotes pence' CODEC(ZSTD(1)),
    calendar          LowCardinality(String)           COMMENT 'When it trades',
    description       String                           COMMENT 'In words' CODEC(ZSTD(1)),
    defined_at        DateTime64(6, 'UTC')             COMMENT 'When the catalog said so' CODEC(Delta, ZSTD(1)),
    recorded_at       DateTime64(6, 'UTC')             COMMENT 'When the broker recorded it' CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(6, 'UTC')             COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id         UUID                             COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition        Int32                            COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset           Int64                            COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch       UInt32                           COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset)
)
ENGINE = MergeTree
ORDER BY (instrument, recorded_at, _offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every definition of every instrument; the view instruments has the latest';

CREATE TABLE IF NOT EXISTS calls_history
(
    call_id           String                           COMMENT 'Our name',
    removed           Bool                             COMMENT 'This definition says that it is gone',
    version           String                           COMMENT 'Hash of the definition; prices.call_version' CODEC(ZSTD(1)),
    provider          LowCardinality(String)           COMMENT 'Who is asked',
    account           LowCardinality(String)           COMMENT 'Whose rate limit it uses',
    enabled           Bool                             COMMENT 'Whether it is polled',
    method            LowCardinality(String)           COMMENT 'HTTP method',
    url               String                           COMMENT 'Without secrets' CODEC(ZSTD(1)),
    headers           Map(String, String)              COMMENT 'Secrets by reference only' CODEC(ZSTD(1)),
    query             Map(String, String)              COMMENT 'Secrets by reference only' CODEC(ZSTD(1)),
    body              String                           COMMENT 'Of the request' CODEC(ZSTD(1)),
    timeout_micros    Int64                            COMMENT 'Of one attempt',
    max_body_bytes    Int64                            COMMENT 'Of the answer, decompressed',
    max_attempts      Int32                            COMMENT 'Of one poll',
    backoff_micros    Int64                            COMMENT 'Mean pause before the second attempt; doubles',
    max_backoff_micros Int64                            COMMENT 'Longest pause',
    every_micros      Int64                            COMMENT 'Interval; 0 if cron says when',
    phase_micros      Int64                            COMMENT 'Offset of the slots',
    cron              String                           COMMENT 'Five fields; empty if there is an interval',
    zone              String                           COMMENT 'Time zone of cron',
    catchup           Enum8('unknown' = 0, 'none' = 1, 'latest' = 2) COMMENT 'What happens to missed slots',
    mapping           String                           COMMENT 'How the answer is read, as JSON' CODEC(ZSTD(1)),
    symbols Nested
    (
        symbol          String,
        aliases         Array(String),
        instrument      String,
        base            String,
        quote           String,
        factor          Decimal(38, 18),
        valid_from      Nullable(Date32),
        valid_to        Nullable(Date32)
    ) COMMENT 'The symbols of the provider and our instruments. Unfold with ARRAY JOIN symbols',
    retention_days    Int32                            COMMENT 'Of the bodies of its answers; 0: the default of the lake',
    terms_url         String                           COMMENT 'Terms of use' CODEC(ZSTD(1)),
    attribution       String                           COMMENT 'What must be said beside the data' CODEC(ZSTD(1)),
    redistribution    LowCardinality(String)           COMMENT 'Whether the data may be passed on',
    defined_at        DateTime64(6, 'UTC')             COMMENT 'When the catalog said so' CODEC(Delta, ZSTD(1)),
    recorded_at       DateTime64(6, 'UTC')             COMMENT 'When the broker recorded it' CODEC(Delta, ZSTD(1)),
    inserted_at       DateTime64(6, 'UTC')             COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id         UUID                             COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition        Int32                            COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset           Int64                            COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch       UInt32                           COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset)
)
ENGINE = MergeTree
ORDER BY (call_id, recorded_at, _offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every definition of every call; the view calls has the latest';

-- The latest definition of each key that is not a removal. Offsets order the
-- definitions of a topic; a topic created again starts them anew, so topics are
-- ordered by their first record.
CREATE OR REPLACE VIEW instruments
AS SELECT * EXCEPT (removed, _born)
FROM
(
    SELECT *, min(recorded_at) OVER (PARTITION BY _topic_id) AS _born
    FROM instruments_history
    ORDER BY _born DESC, _offset DESC
    LIMIT 1 BY instrument
)
WHERE NOT removed
COMMENT 'The instruments of the catalog';

CREATE OR REPLACE VIEW calls
AS SELECT * EXCEPT (removed, _born)
FROM
(
    SELECT *, min(recorded_at) OVER (PARTITION BY _topic_id) AS _born
    FROM calls_history
    ORDER BY _born DESC, _offset DESC
    LIMIT 1 BY call_id
)
WHERE NOT removed
COMMENT 'The calls of the catalog';
