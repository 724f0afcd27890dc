-- +goose NO TRANSACTION
-- +goose Up

-- Twenty parts at a time, ten before: a ninth of the server's work while a backlog is
-- loaded (docs/benchmarks/lake.md).
ALTER TABLE prices MODIFY SETTING merge_selector_base = 20;
