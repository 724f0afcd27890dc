// Package kafka is the one place that talks to a broker: the loops that read,
// hand over and commit, a producer, a reader outside of groups, and the topics.
//
// Three loops own every commit of an offset, in this order along the path:
//
//   - Window, for the poller: requests are worked on in parallel, their answers
//     are published and acknowledged, then the lowest unfinished offset is
//     committed (windowWorker.settle).
//   - Transact, for stages between topics: output, dead letters and offsets are
//     committed in one Kafka transaction (session.commit).
//   - Range, for sinks: a range of one partition is written, and committed once
//     the sink says that it is durable (rangeWorker.settle).
//
// Nothing else commits. Owner only decides who owns a partition, Txn only
// writes.
//
// All three keep the same invariants. I1: a commit comes after everything made
// from what it covers is acknowledged downstream, and never for a partition
// that has gone (assignment.settle, the guard in session.commit). I4: a stage
// gets its records and nothing else. I5: a partition is handed over in order,
// by one goroutine. I6: a partition that comes back gets a new worker or stage
// (member.start, session.begin). I8: queues are bounded by pausing the
// partition, retries by doubling pauses. I9: what retention
// took unread is reported and counted (membership.startAt). I10: Run returns
// after everything it started.
//
// A Run returns nil when its context ends. Trouble with brokers, sinks and
// stages never ends it: it is tried again, counted, and logged each time.
package kafka
