-- +goose NO TRANSACTION
-- +goose Up

-- Every revision of every price is a row; nothing is ever updated or collapsed.
-- Why these keys, types and codecs: docs/adr/0007-lake-tables.md.
CREATE TABLE IF NOT EXISTS prices
(
    event_id        UUID                                COMMENT 'Identity of the statement; the values are not part of it',
    revision        Int32                               COMMENT '0 for the first statement, one more for each restatement' CODEC(T64, ZSTD(1)),
    withdrawn       Bool                                COMMENT 'The source says the value was never right',
    provider        LowCardinality(String)              COMMENT 'Who was asked',
    call_id         LowCardinality(String)              COMMENT 'The call of the catalog that brought it',
    call_version    LowCardinality(String)              COMMENT 'Hash of the version of the call that read it',
    instrument      LowCardinality(String)              COMMENT 'Our name of the instrument',
    base            LowCardinality(String)              COMMENT 'What is priced',
    quote           LowCardinality(String)              COMMENT 'The currency the price is in',
    kind            Enum8('unknown' = 0, 'ticker' = 1, 'quote' = 2, 'trade' = 3, 'fixing' = 4, 'index' = 5) COMMENT 'What sort of statement it is',
    rate_type       Enum8('none' = 0, 'last' = 1, 'mid' = 2, 'official' = 3, 'buy' = 4, 'sell' = 5, 'close' = 6, 'settlement' = 7, 'index' = 8) COMMENT 'What price is',
    session         LowCardinality(String)              COMMENT 'Part of the day, such as am; empty if there is only one',
    price           Nullable(Decimal(38, 18))           COMMENT 'Exactly as sent; null when the source gives none' CODEC(ZSTD(1)),
    bid             Nullable(Decimal(38, 18))           COMMENT 'Exactly as sent; null when the source gives none' CODEC(ZSTD(1)),
    ask             Nullable(Decimal(38, 18))           COMMENT 'Exactly as sent; null when the source gives none' CODEC(ZSTD(1)),
    size            Nullable(Decimal(38, 18))           COMMENT 'Of a trade, in units of base' CODEC(ZSTD(1)),
    event_time      DateTime64(6, 'UTC')                COMMENT 'The instant the price is of; event_time_kind says whose clock' CODEC(Delta, ZSTD(1)),
    event_time_kind Enum8('unknown' = 0, 'source' = 1, 'publish' = 2, 'value_date' = 3, 'fetched' = 4) COMMENT 'Where event_time comes from',
    value_date      Nullable(Date32)                    COMMENT 'The business day a fixing is for',
    published_at    Nullable(DateTime64(6, 'UTC'))      COMMENT 'When the source says it published' CODEC(ZSTD(1)),
    requested_at    DateTime64(6, 'UTC')                COMMENT 'When the request was sent' CODEC(Delta, ZSTD(1)),
    fetched_at      DateTime64(6, 'UTC')                COMMENT 'When the answer had been read to its end' CODEC(Delta, ZSTD(1)),
    trade_id        String                              COMMENT 'The id the source gives the trade; empty if none' CODEC(ZSTD(1)),
    quality         Int32                               COMMENT 'Bit set: 1 rounded to 18 decimals, 2 time cut to microseconds' CODEC(T64, ZSTD(1)),
    poll_id         UUID                                COMMENT 'The row of polls',
    response_id     UUID                                COMMENT 'The row of responses',
    correlation_id  UUID                                COMMENT 'Given when the poll was asked for; what came of it has the same in every table',
    recorded_at     DateTime64(6, 'UTC')                COMMENT 'When the broker recorded it in prices.v1: the knowledge time' CODEC(Delta, ZSTD(1)),
    inserted_at     DateTime64(6, 'UTC')                COMMENT 'When the lake wrote the row' CODEC(Delta, ZSTD(1)),
    _topic_id       UUID                                COMMENT 'Lineage: id of the topic the row was loaded from' CODEC(ZSTD(1)),
    _partition      Int32                               COMMENT 'Lineage: partition of the record' CODEC(T64, ZSTD(1)),
    _offset         Int64                               COMMENT 'Lineage: offset of the record' CODEC(Delta, ZSTD(1)),
    _lake_epoch     UInt32                              COMMENT 'Lineage: which filling of the lake wrote the row' CODEC(T64, ZSTD(1)),

    CONSTRAINT has_value CHECK isNotNull(price) OR isNotNull(bid) OR isNotNull(ask),

    -- Fixings are few, and conversions look for them: whole granules hold one
    -- kind, since they hold one instrument of one provider.
    INDEX kinds kind TYPE set(8) GRANULARITY 1,

    -- Look-ups by lineage (what of a range is already there) must not read the
    -- table; a minmax index on _offset says nothing once parts are merged.
    PROJECTION lineage (SELECT _topic_id, _partition, _offset, _lake_epoch ORDER BY _topic_id, _partition, _offset),

    -- The newest statement of each source, kept by part: what prices_latest
    -- reads instead of the table. The key is the event time (from 1900, so that
    -- it is never negative), then the knowledge time, then the offset, in one
    -- integer: argMax is fast on those. The values are one tuple: argMax skips
    -- nulls and would take an older price for a missing one.
    PROJECTION latest
    (
        SELECT instrument, provider, rate_type,
            argMax(
                (event_id, revision, withdrawn, kind, session, base, quote, price, bid, ask, size, event_time, event_time_kind,
                value_date, fetched_at, recorded_at, quality, call_id, correlation_id),
                bitOr(bitOr(
                bitShiftLeft(toUInt256(toUInt64(toUnixTimestamp64Micro(event_time) + 2208988800000000)), 128),
                bitShiftLeft(toUInt256(toUInt64(toUnixTimestamp64Micro(recorded_at) + 2208988800000000)), 64)),
                toUInt256(_offset)))
        GROUP BY instrument, provider, rate_type
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(event_time)
ORDER BY (instrument, provider, rate_type, event_time, event_id, revision)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every price of every source, every revision a row. Start with the view prices_current.';
