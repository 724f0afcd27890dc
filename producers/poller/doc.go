// Package poller makes the API calls that were asked for. One request becomes
// one poll: up to five HTTP attempts, every answer that could be read to its end
// kept verbatim, one outcome with an entry for each symbol, and a dead letter
// when no attempt brought what was asked for.
//
// Read poller.go for what comes in and goes out, poll.go for the attempts, and
// client.go for the guarded HTTP call; fit.go keeps what is made within the limits
// of the topics.
package poller
