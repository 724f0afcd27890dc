-- +goose NO TRANSACTION
-- +goose Up

-- A block of the sink is a part in one file, not in a hundred: making the files was up
-- to a third of what the server did while others were being deleted, since ext4 passes
-- over inodes that were freed in the last five minutes one by one
-- (docs/benchmarks/lake.md). Blocks have 25 to 30 MB; what is merged of them has more,
-- and is read by column.
ALTER TABLE prices MODIFY SETTING min_bytes_for_wide_part = 67108864;
