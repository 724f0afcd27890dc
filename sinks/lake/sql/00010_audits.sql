-- +goose NO TRANSACTION
-- +goose Up

-- What is proven of the lake (docs/adr/0019-audit-and-rebuild.md). It is kept
-- here and not in Kafka, so that a lake restored from a backup has the proofs of
-- that backup.
CREATE TABLE IF NOT EXISTS audits
(
    topic             LowCardinality(String)  COMMENT 'The topic compared',
    first             Int64                   COMMENT 'First offset of the slice, a multiple of its size',
    next              Int64                   COMMENT 'Offsets of the slice below it have been compared with the log',
    records           Int64                   COMMENT 'Committed records of them',
    rows              Int64                   COMMENT 'Records that have their row',
    dead_letters      Int64                   COMMENT 'Records that the lake gave up',
    missing           Int64                   COMMENT 'Records with neither row nor dead letter',
    doubled           Int64                   COMMENT 'Records with more rows than one',
    unexpected        Int64                   COMMENT 'Rows at offsets that hold no committed record',
    altered           Int64                   COMMENT 'Rows of another record than the log holds at their offset',
    findings          Array(String)           COMMENT 'What is wrong, and at which offsets',
    lake_rows         UInt64                  COMMENT 'All rows of the slice below next when it was compared',
    lake_hash         UInt64                  COMMENT 'Sum of the hashes of their offsets and times',
    audited_at        DateTime64(6, 'UTC')    COMMENT 'When it was compared; the newest row of a slice counts',
    _topic_id         UUID                    COMMENT 'Id of the topic',
    _partition        Int32                   COMMENT 'Partition of the topic'
)
ENGINE = ReplacingMergeTree(audited_at)
ORDER BY (topic, _topic_id, _partition, first)
COMMENT 'How far the rows are proven to be the records of the topics, slice by slice';

-- Rebuilds of tables and the epochs they gave out: what a rebuild that was
-- interrupted goes on with.
CREATE TABLE IF NOT EXISTS rebuilds
(
    epoch             UInt32                  COMMENT 'The filling of the lake that the rebuild makes',
    table             LowCardinality(String)  COMMENT 'The table',
    state             Enum8('begun' = 1, 'loaded' = 2, 'swapping' = 3, 'done' = 4, 'dropped' = 5) COMMENT 'How far it is; the last row counts',
    plan              String                  COMMENT 'What it covers, as JSON',
    at                DateTime64(6, 'UTC')    COMMENT 'Since when'
)
ENGINE = MergeTree
ORDER BY (table, epoch, state)
COMMENT 'Rebuilds of tables from the topics';

-- A look-up by lineage also answers which record a row is of: its time is the
-- broker's. The projection replaces the one without it, which is dropped.
ALTER TABLE prices ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE prices MATERIALIZE PROJECTION records;
ALTER TABLE prices DROP PROJECTION IF EXISTS lineage;
ALTER TABLE prices_rejected ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE prices_rejected MATERIALIZE PROJECTION records;
ALTER TABLE prices_rejected DROP PROJECTION IF EXISTS lineage;
ALTER TABLE polls ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE polls MATERIALIZE PROJECTION records;
ALTER TABLE polls DROP PROJECTION IF EXISTS lineage;
ALTER TABLE responses ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE responses MATERIALIZE PROJECTION records;
ALTER TABLE responses DROP PROJECTION IF EXISTS lineage;
ALTER TABLE dead_letters ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE dead_letters MATERIALIZE PROJECTION records;
ALTER TABLE dead_letters DROP PROJECTION IF EXISTS lineage;
ALTER TABLE instruments_history ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE instruments_history MATERIALIZE PROJECTION records;
ALTER TABLE instruments_history DROP PROJECTION IF EXISTS lineage;
ALTER TABLE calls_history ADD PROJECTION IF NOT EXISTS records (SELECT _topic_id, _partition, _offset, _lake_epoch, recorded_at ORDER BY _topic_id, _partition, _offset);
ALTER TABLE calls_history MATERIALIZE PROJECTION records;
ALTER TABLE calls_history DROP PROJECTION IF EXISTS lineage;
