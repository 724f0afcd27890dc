// Package embed is the embedded stack behind `pricelake up`: a Kafka-protocol
// broker, a schema registry with the Confluent API, and a real ClickHouse
// server in a child process. All three keep their state in one data directory,
// listen on loopback only, and come back after a restart with the same
// addresses, data, offsets, schema ids and passwords.
//
// The order of a start:
//
//	lock, err := embed.LockDir(dir)            // one owner per data directory
//	addrs, err := embed.OpenAddresses(dir)     // the ports of last time
//	broker, err := embed.StartBroker(…)        // these three start at the same time
//	registry, err := embed.StartRegistry(…)
//	clickhouse, err := embed.StartClickHouse(…)
//
// Every service has a blocking Run that watches over it until its context
// ends, and a Close or Stop that ends it. The services of the data directory
// may only be started while the lock is held.
//
// The build tag noembed leaves the broker, the pseudo-terminal and the loader
// of the ClickHouse library out; the Start functions then fail with
// ErrUnavailable. The container image is built that way.
package embed

import "errors"

// ErrUnavailable says that this binary was built without the embedded stack.
var ErrUnavailable = errors.New("this build has no embedded services (build tag noembed, or a system they do not run on): " +
	"use `pricelake run` with the addresses of a Kafka, a schema registry and a ClickHouse, or install the full build")

// ChildCommand is the hidden sub-command under which a binary has to call
// ChildMain with the arguments that follow it.
const ChildCommand = "clickhouse-child"

// notConfined is how the child says, in its log, that confine failed.
const notConfined = "not confined"
