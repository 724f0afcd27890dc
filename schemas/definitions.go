package schemas

import _ "embed" // the texts of the .avsc files below

// The Avro schemas beside the Go types they describe. A test binds the two.
var (
	//go:embed price.avsc
	priceSchema string
	//go:embed price_rejected.avsc
	priceRejectedSchema string
	//go:embed response_received.avsc
	responseReceivedSchema string
	//go:embed poll_requested.avsc
	pollRequestedSchema string
	//go:embed poll_finished.avsc
	pollFinishedSchema string
	//go:embed slot_scheduled.avsc
	slotScheduledSchema string
	//go:embed instrument_defined.avsc
	instrumentDefinedSchema string
	//go:embed call_defined.avsc
	callDefinedSchema string
	//go:embed dead_letter.avsc
	deadLetterSchema string
	//go:embed dead_letter_marked.avsc
	deadLetterMarkedSchema string
	//go:embed role_switched.avsc
	roleSwitchedSchema string
)

// Definition says which record a topic carries.
type Definition struct {
	Topic  string
	Record string // name of the Go type and of the Avro record
	Schema string // text of its .avsc
}

// Definitions returns every topic with its record, in the order of the path.
func Definitions() []Definition {
	return []Definition{
		{TopicCalls, "CallDefined", callDefinedSchema},
		{TopicInstruments, "InstrumentDefined", instrumentDefinedSchema},
		{TopicSchedules, "SlotScheduled", slotScheduledSchema},
		{TopicRequests, "PollRequested", pollRequestedSchema},
		{TopicPolls, "PollFinished", pollFinishedSchema},
		{TopicResponses, "ResponseReceived", responseReceivedSchema},
		{TopicObserved, "Price", priceSchema},
		{TopicPrices, "Price", priceSchema},
		{TopicRejected, "PriceRejected", priceRejectedSchema},
		{TopicDeadLetters, "DeadLetter", deadLetterSchema},
		{TopicDeadLetterMarks, "DeadLetterMarked", deadLetterMarkedSchema},
		{TopicRoles, "RoleSwitched", roleSwitchedSchema},
	}
}
