package schemas

// Topic names. The contract with everyone outside: the key and the record of
// each are in docs/ARCHITECTURE.md, partitions and retention in internal/kafka.
const (
	TopicCalls           = "catalog.calls.v1"
	TopicInstruments     = "catalog.instruments.v1"
	TopicSchedules       = "schedules.v1"
	TopicRequests        = "polls.requested.v1"
	TopicPolls           = "polls.finished.v1"
	TopicResponses       = "responses.v1"
	TopicObserved        = "prices.observed.v1"
	TopicPrices          = "prices.v1"
	TopicRejected        = "prices.rejected.v1"
	TopicDeadLetters     = "deadletters.v1"
	TopicDeadLetterMarks = "deadletters.marks.v1"
	TopicRoles           = "roles.v1"
)
