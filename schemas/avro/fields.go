package avro

import "github.com/pricelake/pricelake/schemas"

// The fields of each record, in the order of its schema. A test compares them
// with the schema through goavro.

func (c *coder) price(r *schemas.Price) {
	c.id(&r.EventID)
	c.int(&r.Revision)
	c.boolean(&r.Withdrawn)
	c.text(&r.Provider)
	c.text(&r.CallID)
	c.text(&r.CallVersion)
	c.text(&r.Instrument)
	c.text(&r.Base)
	c.text(&r.Quote)
	enum(c, &r.Kind, schemas.KindIndex)
	enum(c, &r.RateType, schemas.RateIndex)
	c.text(&r.Session)
	c.nullDecimal(&r.Price)
	c.nullDecimal(&r.Bid)
	c.nullDecimal(&r.Ask)
	c.nullDecimal(&r.Size)
	c.time(&r.EventTime)
	enum(c, &r.EventTimeKind, schemas.TimeFetched)
	nullable(c, &r.ValueDate, (*coder).date)
	nullable(c, &r.PublishedAt, (*coder).time)
	c.time(&r.RequestedAt)
	c.time(&r.FetchedAt)
	c.text(&r.TradeID)
	c.int((*int32)(&r.Quality))
	c.id(&r.PollID)
	c.id(&r.ResponseID)
	c.id(&r.CorrelationID)
}

func (c *coder) priceRejected(r *schemas.PriceRejected) {
	c.id(&r.RejectID)
	enum(c, &r.Reason, schemas.RejectInvalid)
	c.text(&r.Detail)
	c.text(&r.Provider)
	c.text(&r.CallID)
	c.text(&r.CallVersion)
	c.text(&r.Instrument)
	c.text(&r.Symbol)
	c.text(&r.Fragment)
	c.time(&r.FetchedAt)
	c.id(&r.PollID)
	c.id(&r.ResponseID)
	c.id(&r.CorrelationID)
}

func (c *coder) responseReceived(r *schemas.ResponseReceived) {
	c.id(&r.ResponseID)
	c.id(&r.PollID)
	c.id(&r.CorrelationID)
	c.text(&r.CallID)
	c.text(&r.CallVersion)
	c.text(&r.Provider)
	c.int(&r.Attempt)
	c.time(&r.Slot)
	c.time(&r.RequestedAt)
	c.time(&r.FetchedAt)
	c.text(&r.Method)
	c.text(&r.URL)
	c.int(&r.Status)
	mapping(c, &r.Headers, (*coder).text)
	c.bytes(&r.Body)
}

func (c *coder) pollRequested(r *schemas.PollRequested) {
	c.id(&r.PollID)
	c.id(&r.CorrelationID)
	c.text(&r.CallID)
	c.text(&r.CallVersion)
	c.text(&r.Account)
	c.time(&r.Slot)
	c.time(&r.RequestedAt)
	enum(c, &r.Origin, schemas.OriginReplay)
}

func (c *coder) pollFinished(r *schemas.PollFinished) {
	c.id(&r.PollID)
	c.id(&r.CorrelationID)
	c.text(&r.CallID)
	c.text(&r.CallVersion)
	c.text(&r.Provider)
	c.text(&r.Account)
	enum(c, &r.Origin, schemas.OriginReplay)
	c.time(&r.Slot)
	c.time(&r.RequestedAt)
	c.time(&r.StartedAt)
	c.time(&r.FinishedAt)
	enum(c, &r.Outcome, schemas.PollUnknownCall)
	c.text(&r.Error)
	c.int(&r.Requested)
	c.int(&r.Valued)
	c.int(&r.Absent)
	c.int(&r.Failed)
	c.int(&r.Unlisted)
	list(c, &r.Attempts, (*coder).pollAttempt)
	list(c, &r.Symbols, (*coder).symbolOutcome)
}

func (c *coder) pollAttempt(r *schemas.PollAttempt) {
	c.int(&r.Number)
	c.time(&r.StartedAt)
	c.long(&r.DurationMicros)
	c.int(&r.Status)
	enum(c, &r.Outcome, schemas.AttemptSetup)
	c.text(&r.Error)
	nullable(c, &r.ResponseID, (*coder).id)
	c.long(&r.WaitedMicros)
}

func (c *coder) symbolOutcome(r *schemas.SymbolOutcome) {
	c.text(&r.Symbol)
	c.text(&r.Instrument)
	enum(c, &r.Outcome, schemas.ValueFailed)
	c.text(&r.Reason)
}

func (c *coder) slotScheduled(r *schemas.SlotScheduled) {
	c.text(&r.CallID)
	c.time(&r.Slot)
	c.id(&r.PollID)
	c.time(&r.ScheduledAt)
	c.long(&r.Missed)
}

func (c *coder) deadLetterMarked(m *schemas.DeadLetterMarked) {
	c.id(&m.DeadLetterID)
	c.boolean(&m.Dropped)
	c.text(&m.Reason)
	c.text(&m.MarkedBy)
	c.time(&m.MarkedAt)
}

func (c *coder) roleSwitched(r *schemas.RoleSwitched) {
	c.text(&r.Role)
	c.boolean(&r.Paused)
	c.text(&r.Reason)
	c.text(&r.SwitchedBy)
	c.time(&r.SwitchedAt)
}

func (c *coder) instrumentDefined(r *schemas.InstrumentDefined) {
	c.text(&r.Instrument)
	c.text(&r.AssetClass)
	c.text(&r.Base)
	c.text(&r.Quote)
	c.text(&r.Unit)
	c.decimal(&r.MinorUnitFactor)
	c.text(&r.Calendar)
	c.text(&r.Description)
	c.time(&r.DefinedAt)
}

func (c *coder) callDefined(r *schemas.CallDefined) {
	c.text(&r.CallID)
	c.text(&r.Version)
	c.text(&r.Provider)
	c.text(&r.Account)
	c.boolean(&r.Enabled)
	c.callRequest(&r.Request)
	c.callSchedule(&r.Schedule)
	c.text(&r.Mapping)
	list(c, &r.Symbols, (*coder).callSymbol)
	c.int(&r.RetentionDays)
	c.text(&r.TermsURL)
	c.text(&r.Attribution)
	c.text(&r.Redistribution)
	c.time(&r.DefinedAt)
}

func (c *coder) callRequest(r *schemas.CallRequest) {
	c.text(&r.Method)
	c.text(&r.URL)
	mapping(c, &r.Headers, (*coder).text)
	mapping(c, &r.Query, (*coder).text)
	c.text(&r.Body)
	c.long(&r.TimeoutMicros)
	c.long(&r.MaxBodyBytes)
	c.int(&r.MaxAttempts)
	c.long(&r.BackoffMicros)
	c.long(&r.MaxBackoffMicros)
}

func (c *coder) callSchedule(r *schemas.CallSchedule) {
	c.long(&r.EveryMicros)
	c.long(&r.PhaseMicros)
	c.text(&r.Cron)
	c.text(&r.Zone)
	enum(c, &r.Catchup, schemas.CatchupLatest)
}

func (c *coder) callSymbol(r *schemas.CallSymbol) {
	c.text(&r.Symbol)
	list(c, &r.Aliases, (*coder).text)
	c.text(&r.Instrument)
	c.text(&r.Base)
	c.text(&r.Quote)
	c.decimal(&r.Factor)
	nullable(c, &r.ValidFrom, (*coder).date)
	nullable(c, &r.ValidTo, (*coder).date)
}

func (c *coder) deadLetter(r *schemas.DeadLetter) {
	c.id(&r.DeadLetterID)
	c.text(&r.OriginTopic)
	c.id(&r.OriginTopicID)
	c.int(&r.OriginPartition)
	c.long(&r.OriginOffset)
	c.time(&r.OriginTimestamp)
	c.text(&r.Role)
	enum(c, &r.Reason, schemas.DeadInvalid)
	c.text(&r.Error)
	c.int(&r.Attempts)
	c.text(&r.CallID)
	nullable(c, &r.CorrelationID, (*coder).id)
	c.time(&r.FailedAt)
	c.bytes(&r.Key)
	c.bytes(&r.Value)
	mapping(c, &r.Headers, (*coder).bytes)
}
