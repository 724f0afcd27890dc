-- The accounts of pricelake, for servers that keep users made by SQL (with
-- access_management, or a cloud's own). The same rights as users.d/pricelake.xml.
-- Put the SHA-256 of each password, in hexadecimal, in place of its variable:
--   envsubst < accounts.sql | clickhouse-client --multiquery
-- On a cluster add ON CLUSTER to every statement.
-- Generated from internal/accounts: change it there and run
-- `go test ./internal/accounts -update`.

-- Makes and alters tables and views: `pricelake migrate`. It can remove no row.
CREATE SETTINGS PROFILE IF NOT EXISTS pricelake_migrator SETTINGS
    log_queries = 1;
CREATE ROLE IF NOT EXISTS pricelake_migrator_rights;
-- New tables and views.
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW ON pricelake.* TO pricelake_migrator_rights;
-- Changes of tables. ALTER UPDATE and ALTER DELETE, which change rows, are left out.
GRANT ALTER COLUMN, ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER VIEW ON pricelake.* TO pricelake_migrator_rights;
-- CREATE OR REPLACE VIEW drops the old one, under a name that the server makes. There is no other DROP TABLE and no TRUNCATE.
GRANT DROP VIEW ON pricelake.* TO pricelake_migrator_rights;
GRANT DROP TABLE ON pricelake._tmp_replace_* TO pricelake_migrator_rights;
-- The server lets nobody make a view of what they cannot read. Also to see which migrations there were.
GRANT SELECT ON pricelake.* TO pricelake_migrator_rights;
-- To note a migration; and the server wants it of who replaces a view. The tables of the lake are taken back.
GRANT INSERT ON pricelake.* TO pricelake_migrator_rights;
REVOKE INSERT ON pricelake.prices FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.prices_rejected FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.polls FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.responses FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.dead_letters FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.instruments_history FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.calls_history FROM pricelake_migrator_rights;
REVOKE INSERT ON pricelake.audits FROM pricelake_migrator_rights;
-- For servers where engines need a grant.
GRANT TABLE ENGINE ON MergeTree TO pricelake_migrator_rights;
GRANT TABLE ENGINE ON ReplacingMergeTree TO pricelake_migrator_rights;
GRANT TABLE ENGINE ON ReplicatedMergeTree TO pricelake_migrator_rights;
GRANT TABLE ENGINE ON ReplicatedReplacingMergeTree TO pricelake_migrator_rights;
GRANT TABLE ENGINE ON View TO pricelake_migrator_rights;
CREATE USER IF NOT EXISTS pricelake_migrator IDENTIFIED WITH sha256_hash BY '${PRICELAKE_MIGRATOR_PASSWORD_SHA256}'
    DEFAULT ROLE pricelake_migrator_rights SETTINGS PROFILE 'pricelake_migrator';
GRANT pricelake_migrator_rights TO pricelake_migrator;

-- Loads the tables: the role lake, and `status`, `verify`, `doctor`; gives a deduplicator that lost its disk the prices back. Of other tables it reads where rows come from, hardly what is in them.
CREATE SETTINGS PROFILE IF NOT EXISTS pricelake_writer SETTINGS
    log_queries = 1;
CREATE ROLE IF NOT EXISTS pricelake_writer_rights;
GRANT INSERT ON pricelake.prices TO pricelake_writer_rights;
-- `verify` counts (event_id, revision), `status` shows the newest event_time. A deduplicator that lost its disk reads back what was said.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, event_id, revision, event_time, withdrawn, price, bid, ask, size) ON pricelake.prices TO pricelake_writer_rights;
GRANT INSERT ON pricelake.prices_rejected TO pricelake_writer_rights;
-- `status`: the newest row.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, fetched_at) ON pricelake.prices_rejected TO pricelake_writer_rights;
GRANT INSERT ON pricelake.polls TO pricelake_writer_rights;
-- `status`: how the calls do.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, call_id, provider, outcome, error, valued, finished_at) ON pricelake.polls TO pricelake_writer_rights;
GRANT INSERT ON pricelake.responses TO pricelake_writer_rights;
-- `status`: the newest row. The bodies stay closed.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, fetched_at) ON pricelake.responses TO pricelake_writer_rights;
GRANT INSERT ON pricelake.dead_letters TO pricelake_writer_rights;
-- `verify`: a record that was given up is not missing.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, origin_topic, origin_topic_id, origin_partition, origin_offset, role, failed_at) ON pricelake.dead_letters TO pricelake_writer_rights;
GRANT INSERT ON pricelake.instruments_history TO pricelake_writer_rights;
-- `verify`: the latest row of a key.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, instrument, defined_at) ON pricelake.instruments_history TO pricelake_writer_rights;
GRANT INSERT ON pricelake.calls_history TO pricelake_writer_rights;
-- `verify`: the latest row of a key.
GRANT SELECT(_topic_id, _partition, _offset, _lake_epoch, recorded_at, call_id, defined_at) ON pricelake.calls_history TO pricelake_writer_rights;
-- What the role has proven of the tables.
GRANT SELECT, INSERT ON pricelake.audits TO pricelake_writer_rights;
-- Which filling of the lake it writes.
GRANT SELECT ON pricelake.rebuilds TO pricelake_writer_rights;
-- The role waits for the migrations it needs.
GRANT SELECT ON pricelake.migrations TO pricelake_writer_rights;
-- KILL QUERY looks there. Everyone may end their own queries, which is what ends the INSERTs of a killed process; those of others need a right that is not granted.
GRANT SELECT ON system.processes TO pricelake_writer_rights;
-- The role reads back the settings that delivery relies on.
GRANT SELECT ON system.settings TO pricelake_writer_rights;
-- `doctor`: how full the disks are.
GRANT SELECT ON system.disks TO pricelake_writer_rights;
-- `doctor`: how many parts a partition has.
GRANT SELECT ON system.parts TO pricelake_writer_rights;
CREATE USER IF NOT EXISTS pricelake_writer IDENTIFIED WITH sha256_hash BY '${PRICELAKE_WRITER_PASSWORD_SHA256}'
    DEFAULT ROLE pricelake_writer_rights SETTINGS PROFILE 'pricelake_writer';
GRANT pricelake_writer_rights TO pricelake_writer;

-- For people and their tools: `pricelake sql`, Grafana, notebooks. It reads the lake, within limits, and nothing else.
CREATE SETTINGS PROFILE IF NOT EXISTS pricelake_reader SETTINGS
    readonly = 2,
    max_execution_time = 60 MIN 1 MAX 60,
    max_memory_usage = 2147483648 MIN 1 MAX 2147483648,
    max_memory_usage_for_user = 4294967296 CONST,
    max_result_rows = 10000000 MIN 1 MAX 10000000,
    max_result_bytes = 1073741824 MIN 1 MAX 1073741824,
    max_bytes_to_read = 107374182400 MIN 1 MAX 107374182400,
    max_temporary_data_on_disk_size_for_query = 10737418240 MIN 1 MAX 10737418240,
    max_temporary_data_on_disk_size_for_user = 10737418240 CONST,
    max_concurrent_queries_for_user = 8 CONST,
    timeout_overflow_mode = 'throw' CONST,
    read_overflow_mode = 'throw' CONST,
    cancel_http_readonly_queries_on_client_close = 1 CONST,
    log_queries = 1 CONST,
    log_queries_probability = 1 CONST,
    log_queries_min_query_duration_ms = 0 CONST,
    log_queries_min_type = 'QUERY_START' CONST,
    add_http_cors_header = 0 CONST;
CREATE ROLE IF NOT EXISTS pricelake_reader_rights;
-- Every table and view of docs/sql.md.
GRANT SHOW, SELECT ON pricelake.* TO pricelake_reader_rights;
-- What drivers, Grafana and notebooks look at. Left out: users, grants, processes, query_log, disks and all the others.
GRANT SELECT ON system.databases TO pricelake_reader_rights;
GRANT SELECT ON system.tables TO pricelake_reader_rights;
GRANT SELECT ON system.columns TO pricelake_reader_rights;
GRANT SELECT ON system.settings TO pricelake_reader_rights;
GRANT SELECT ON system.functions TO pricelake_reader_rights;
GRANT SELECT ON system.formats TO pricelake_reader_rights;
GRANT SELECT ON system.data_type_families TO pricelake_reader_rights;
GRANT SELECT ON system.one TO pricelake_reader_rights;
GRANT SELECT ON system.numbers TO pricelake_reader_rights;
GRANT SELECT ON system.time_zones TO pricelake_reader_rights;
GRANT SELECT ON system.build_options TO pricelake_reader_rights;
-- The same in the words of the standard; its view tables adds up system.parts, which shows nobody the parts of tables that are not theirs.
GRANT SELECT ON information_schema.* TO pricelake_reader_rights;
GRANT SELECT ON INFORMATION_SCHEMA.* TO pricelake_reader_rights;
GRANT SELECT ON system.parts TO pricelake_reader_rights;
CREATE USER IF NOT EXISTS pricelake_reader IDENTIFIED WITH sha256_hash BY '${PRICELAKE_READER_PASSWORD_SHA256}'
    DEFAULT DATABASE pricelake DEFAULT ROLE pricelake_reader_rights SETTINGS PROFILE 'pricelake_reader';
GRANT pricelake_reader_rights TO pricelake_reader;
CREATE QUOTA IF NOT EXISTS pricelake_reader FOR INTERVAL 1 minute MAX queries = 1200 TO pricelake_reader;

