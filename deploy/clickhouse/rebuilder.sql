-- The accounts of pricelake, for servers that keep users made by SQL (with
-- access_management, or a cloud's own). The same rights as rebuilder.xml.
-- Put the SHA-256 of each password, in hexadecimal, in place of its variable:
--   envsubst < rebuilder.sql | clickhouse-client --multiquery
-- On a cluster add ON CLUSTER to every statement.
-- Generated from internal/accounts: change it there and run
-- `go test ./internal/accounts -update`.

-- Loads a table anew and replaces its partitions: `pricelake rebuild`. Take it away afterwards.
CREATE SETTINGS PROFILE IF NOT EXISTS pricelake_rebuilder SETTINGS
    log_queries = 1;
CREATE ROLE IF NOT EXISTS pricelake_rebuilder_rights;
-- The rows that are compared and kept.
GRANT SELECT ON pricelake.* TO pricelake_rebuilder_rights;
-- The tables that are filled beside those that are read; CREATE wants it on the database.
GRANT CREATE TABLE ON pricelake.* TO pricelake_rebuilder_rights;
-- Those alone.
GRANT INSERT, ALTER DELETE, DROP TABLE ON pricelake.rebuild_* TO pricelake_rebuilder_rights;
-- How far a rebuild is.
GRANT INSERT ON pricelake.rebuilds TO pricelake_rebuilder_rights;
-- For servers where engines need a grant.
GRANT TABLE ENGINE ON MergeTree TO pricelake_rebuilder_rights;
GRANT TABLE ENGINE ON ReplicatedMergeTree TO pricelake_rebuilder_rights;
-- KILL QUERY looks there; it ends its own INSERTs only.
GRANT SELECT ON system.processes TO pricelake_rebuilder_rights;
-- REPLACE PARTITION.
GRANT INSERT, ALTER DELETE ON pricelake.prices TO pricelake_rebuilder_rights;
-- REPLACE PARTITION.
GRANT INSERT, ALTER DELETE ON pricelake.prices_rejected TO pricelake_rebuilder_rights;
-- REPLACE PARTITION.
GRANT INSERT, ALTER DELETE ON pricelake.polls TO pricelake_rebuilder_rights;
-- REPLACE PARTITION.
GRANT INSERT, ALTER DELETE ON pricelake.responses TO pricelake_rebuilder_rights;
-- REPLACE PARTITION.
GRANT INSERT, ALTER DELETE ON pricelake.dead_letters TO pricelake_rebuilder_rights;
CREATE USER IF NOT EXISTS pricelake_rebuilder IDENTIFIED WITH sha256_hash BY '${PRICELAKE_REBUILDER_PASSWORD_SHA256}'
    DEFAULT ROLE pricelake_rebuilder_rights SETTINGS PROFILE 'pricelake_rebuilder';
GRANT pricelake_rebuilder_rights TO pricelake_rebuilder;

