package kafka

import "time"

// turns lets a few at a time open the partitions of topics that are not apart. A
// rebalance brings a member some of each topic, and who opens asks the sink's server;
// those of the topic that makes the load, which people wait for, go first.
type turns chan struct{}

const (
	// opensOfOthers is how many of them open at a time, unless they have waited for
	// openPatience: one of them may wait for a predecessor that is frozen.
	opensOfOthers = 2
	openPatience  = 300 * time.Millisecond
)

// take waits for a turn, for openPatience at most and no longer than the assignment
// lasts. done ends it.
func (t turns) take(a *assignment) (done func()) {
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case t <- struct{}{}:
		return func() { <-t }
	case <-patience.C:
	case <-a.stopping:
	case <-a.ctx.Done():
	}
	return func() {}
}
