package failpoint

// Point is the name of a place: who, then the step that was just done.
type Point string

// The points, in the order of the path.
const (
	SchedulerTxnBegun    Point = "scheduler.txn.begun"
	SchedulerProduced    Point = "scheduler.produced"
	SchedulerCommitted   Point = "scheduler.committed"
	PollerTaken          Point = "poller.taken"
	PollerAnswerRead     Point = "poller.answer.read"
	PollerRetry          Point = "poller.retry"
	PollerProduced       Point = "poller.produced"
	PollerOffsetsAdded   Point = "poller.offsets.added"
	PollerCommitted      Point = "poller.committed"
	PollerRevoked        Point = "poller.revoked"
	TransactPolled       Point = "transact.polled"
	TransactHandled      Point = "transact.handled"
	TransactProduced     Point = "transact.produced"
	TransactOffsetsAdded Point = "transact.offsets.added"
	TransactCommitted    Point = "transact.committed"
	TransactAborted      Point = "transact.aborted"
	TransactRevoked      Point = "transact.revoked"
	DedupeAssigned       Point = "deduplicator.assigned"
	DedupeStable         Point = "deduplicator.stable"
	DedupeTail           Point = "deduplicator.tail"
	DedupeRestored       Point = "deduplicator.restored"
	DedupeApplying       Point = "deduplicator.applying"
	DedupeApplied        Point = "deduplicator.applied"
	RangeAssigned        Point = "range.assigned"
	RangeCut             Point = "range.cut"
	RangeIntent          Point = "range.intent"
	RangeIntended        Point = "range.intended"
	RangeSettled         Point = "range.settled"
	RangeIdleCommit      Point = "range.idle-commit"
	RangeRevoked         Point = "range.revoked"
	LakeInsert           Point = "lake.insert"
	LakeInsertBlock      Point = "lake.insert.block"
	LakeInsertSent       Point = "lake.insert.sent"
	LakeInsertAcked      Point = "lake.insert.acked"
	LakeRecoverEnded     Point = "lake.recover.ended"
	LakeRecoverRead      Point = "lake.recover.read"
	LakeRecoverVerified  Point = "lake.recover.verified"
	LakeRecoverInserted  Point = "lake.recover.inserted"
	LakeRecoverBurned    Point = "lake.recover.burned"
	LakeBisect           Point = "lake.bisect"
	LakeDeadLetter       Point = "lake.dead-letter"
	LakeQuarantine       Point = "lake.quarantine"
	RebuildLoaded        Point = "rebuild.loaded"
	RebuildSwap          Point = "rebuild.swap"
	RebuildSwapped       Point = "rebuild.swapped"
	ReplayProduced       Point = "replay.produced"
)

// Description says what a point is for.
type Description struct {
	Point Point
	// Roles that pass it; empty for tools.
	Roles []string
	// Rare points are passed only where something has gone wrong before, such
	// as a record that the lake refuses: a run has to bring that about.
	Rare bool
	// Text says what is done and what is not.
	Text string
}

// Roles that pass points.
const (
	scheduler    = "scheduler"
	poller       = "poller"
	normalizer   = "normalizer"
	deduplicator = "deduplicator"
	lake         = "lake"
)

// Points describes every point, in the order of the path.
func Points() []Description {
	both := []string{normalizer, deduplicator}
	one := func(role string) []string { return []string{role} }
	return []Description{
		{SchedulerTxnBegun, one(scheduler), false, "the shard's transaction is open, nothing is produced"},
		{SchedulerProduced, one(scheduler), false, "requests and slots are produced, the transaction is open"},
		{SchedulerCommitted, one(scheduler), false, "the transaction is committed, the plan has not moved on"},

		{PollerTaken, one(poller), false, "a request was taken, no call was made"},
		{PollerAnswerRead, one(poller), false, "an answer was read to its end, nothing is produced"},
		{PollerRetry, one(poller), true, "an attempt failed, the next one was not made"},
		{PollerProduced, one(poller), false, "answer and outcome are produced, the position is not in the transaction"},
		{PollerOffsetsAdded, one(poller), false, "the position with its bitmap is in the transaction, which is open"},
		{PollerCommitted, one(poller), false, "the transaction is committed, the worker does not know"},
		{PollerRevoked, one(poller), false, "a partition was revoked, finished outputs of it are not dropped yet"},

		{TransactPolled, both, false, "a batch was read, the stage has not seen it"},
		{TransactHandled, both, false, "the stage has made its outputs, nothing is produced"},
		{TransactProduced, both, false, "outputs are produced, offsets are not in the transaction"},
		{TransactOffsetsAdded, both, false, "offsets are in the transaction, which is open"},
		{TransactCommitted, both, false, "the transaction is committed, the stage does not know"},
		{TransactAborted, both, true, "the transaction is aborted, nothing of it was read again"},
		{TransactRevoked, both, false, "a partition was revoked, its worker still runs"},
		{DedupeAssigned, one(deduplicator), false, "a partition was assigned, its state is not open"},
		{DedupeStable, one(deduplicator), false, "the last stable offset has reached the high watermark, the end of the tail is not applied"},
		{DedupeTail, one(deduplicator), false, "in the middle of the tail of the output partition"},
		{DedupeRestored, one(deduplicator), true, "a lost state was restored from the lake, the tail is not read"},
		{DedupeApplying, one(deduplicator), false, "outputs are committed, the state is not written"},
		{DedupeApplied, one(deduplicator), false, "state and checkpoint are written, the next batch is not begun"},

		{RangeAssigned, one(lake), false, "a partition was assigned, its intent is not read"},
		{RangeCut, one(lake), false, "a range was cut and its blocks are made, nothing is committed"},
		{RangeIntent, one(lake), false, "right before the intent is committed"},
		{RangeIntended, one(lake), false, "the intent is committed, nothing is inserted"},
		{RangeSettled, one(lake), false, "every block is acknowledged, the next commit will settle it"},
		{RangeIdleCommit, one(lake), false, "nothing came for a while, the plain commit is not made"},
		{RangeRevoked, one(lake), false, "a partition was revoked, its worker still runs"},
		{LakeInsert, one(lake), false, "right before the first byte of an insert"},
		{LakeInsertBlock, one(lake), false, "one block of a range is acknowledged, the next one is not sent"},
		{LakeInsertSent, one(lake), false, "a block was sent, its acknowledgement is not read"},
		{LakeInsertAcked, one(lake), false, "a block was acknowledged, nobody has noted it"},
		{LakeRecoverEnded, one(lake), false, "the inserts of the owner before are ended, the range is not read again"},
		{LakeRecoverRead, one(lake), false, "the range of the open intent was read again, nothing is verified"},
		{LakeRecoverVerified, one(lake), false, "what is missing is known, nothing is inserted"},
		{LakeRecoverInserted, one(lake), false, "what was missing is inserted, it is not verified again"},
		{LakeRecoverBurned, one(lake), true, "a token turned out to be burned, the next attempt is not in the intent"},
		{LakeBisect, one(lake), true, "one half of a refused block is in, the other is not"},
		{LakeDeadLetter, one(lake), true, "the dead letter of a refused row is produced, the others of its block are not in"},
		{LakeQuarantine, one(lake), true, "a partition cannot go on, and nobody was told"},

		{RebuildLoaded, nil, true, "a part of the shadow table is loaded, its digest is not compared"},
		{RebuildSwap, nil, true, "digests are equal, nothing is swapped"},
		{RebuildSwapped, nil, true, "the tables are swapped, the old one is still there"},
		{ReplayProduced, nil, true, "a dead letter was published again, and that is not noted"},
	}
}

// Lookup returns the description of a point.
func Lookup(p Point) (Description, bool) {
	for _, d := range Points() {
		if d.Point == p {
			return d, true
		}
	}
	return Description{}, false
}
