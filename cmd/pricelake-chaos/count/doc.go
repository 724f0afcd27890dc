// Package count is the oracle of the kill test: it counts, after everything that
// was done to the system, whether what the price API said is in the lake, once,
// unchanged and in order.
//
// It knows the ledger of the API and reads the system from outside: topics with
// a plain Kafka client, schemas from the registry and tables over ClickHouse's
// HTTP interface, with decoders of its own. It imports nothing of the product,
// so that no mistake can be on both sides; a test holds it to that.
//
// How it counts. Every answer in responses.v1 must be one that the ledger knows,
// byte for byte, and every trade that the API ever sent in full must be in such
// an answer. A model of the rule for repeats and revisions (other values than the
// last ones are the next revision) then says, trade by trade and in the order of
// the topic, which records prices.observed.v1 and prices.v1 have to hold and
// which rows the table prices. Compared are counts and order-sensitive hashes per
// instrument for the topics, counts, distinct counts and sums of hashes for the
// table, never with FINAL. Where they differ, the rows are compared one by one.
package count
