-- +goose NO TRANSACTION
-- +goose Up

-- Parts are merged about ten at a time instead of five: a row is written again fewer
-- times on its way into a large part. While a backlog is loaded half of the server's
-- work was merging. Where rows rest parts get merged all the same: the older they are,
-- the fewer it takes.
ALTER TABLE prices MODIFY SETTING merge_selector_base = 10;
