package ledgercheck

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// observation is one price of an answer that was read.
type observation struct {
	entry     *simulator.Entry
	response  *Response
	values    values
	rounded   bool
	position  int // in the answer
	atSlot    bool
	instument string
}

// event is everything about one identity: what was served, in the order of
// responses, and the rows of prices.
type event struct {
	key    string
	served []observation
	rows   []*Price
}

// checkPrices compares prices with what was served, identity by identity.
func (c *check) checkPrices() {
	events := map[string]*event{}
	at := func(key string) *event {
		if events[key] == nil {
			events[key] = &event{key: key}
		}
		return events[key]
	}
	for id, e := range c.answered {
		c.observe(e, c.responses[id], at)
	}
	c.collectRows(at)
	for _, ev := range events {
		c.checkEvent(ev)
	}
	if c.lake.Repeats == nil {
		return
	}
	if got := *c.lake.Repeats; got < int64(c.Repeats) || got > int64(c.Repeats) && len(c.leftOut) == 0 {
		c.add(RuleRepeat, "count", "%d repeats counted, %d were served", got, c.Repeats)
	}
}

// observe lists the prices of one answer.
func (c *check) observe(e *simulator.Entry, r *Response, at func(string) *event) {
	call, poll := c.calls[r.CallID], c.polls[r.PollID]
	if call == nil || poll == nil || e.Status != 200 {
		return // named already, or without prices
	}
	for i := range e.Prices {
		p := &e.Prices[i]
		symbol := call.symbolOf(p)
		if symbol == nil {
			continue
		}
		v, rounded, err := valuesOf(p.Kind, p.Price, p.Bid, p.Ask, p.Size)
		if err != nil {
			c.add(RuleLedger, e.ID, "%s: %v", p.Symbol, err)
			continue
		}
		var sourceTime time.Time
		if p.SourceTime != nil {
			sourceTime = *p.SourceTime
		}
		key, atSlot := identity(e.Provider, symbol.Instrument, p.Kind, p.RateType, p.TradeID, p.ValueDate, sourceTime, poll.Slot)
		ev := at(key)
		ev.served = append(ev.served, observation{
			entry: e, response: r, values: v, rounded: rounded, position: i, atSlot: atSlot, instument: symbol.Instrument,
		})
		c.Observations++
	}
}

// identity is the key of a statement: trade, value date, source time or slot.
func identity(provider, instrument, kind, rateType, tradeID, valueDate string, sourceTime, slot time.Time) (key string, atSlot bool) {
	when := "slot " + slot.UTC().Format(time.RFC3339Nano)
	switch {
	case tradeID != "":
		when = "trade " + tradeID
	case valueDate != "":
		when = "date " + valueDate
	case !sourceTime.IsZero():
		when = "time " + sourceTime.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
	default:
		atSlot = true
	}
	return fmt.Sprintf("%s %s %s %s %s", provider, instrument, kind, rateType, when), atSlot
}

// collectRows sorts the rows of prices to their events.
func (c *check) collectRows(at func(string) *event) {
	type revision struct {
		id string
		n  int
	}
	seen, keys := map[revision]bool{}, map[string]string{}
	ids := map[string]string{}
	for i := range c.lake.Prices {
		p := &c.lake.Prices[i]
		if c.responses[p.ResponseID] == nil && c.younger(p.FetchedAt) {
			c.leftOut[p.ResponseID] = true
		}
		if seen[revision{p.EventID, p.Revision}] {
			c.add(RuleUnique, p.EventID, "revision %d of %s more than once", p.Revision, p.Instrument)
		}
		seen[revision{p.EventID, p.Revision}] = true
		key := c.rowKey(p)
		if key == "" {
			continue
		}
		if other, ok := keys[p.EventID]; ok && other != key {
			c.add(RuleUnique, p.EventID, "one id for two events: %s, and %s", other, key)
		}
		if other, ok := ids[key]; ok && other != p.EventID {
			c.add(RuleUnique, p.EventID, "two ids for one event: %s is %s as well", key, other)
		}
		keys[p.EventID], ids[key] = key, p.EventID
		ev := at(key)
		ev.rows = append(ev.rows, p)
	}
}

// rowKey is the identity of a row; empty for a row that has none here, because
// its poll is not known.
func (c *check) rowKey(p *Price) string {
	var sourceTime, slot time.Time
	if p.EventTimeKind == "source" || p.EventTimeKind == "publish" {
		sourceTime = p.EventTime
	}
	if poll := c.polls[p.PollID]; poll != nil {
		slot = poll.Slot
	} else if c.answered[p.ResponseID] == nil {
		if !c.leftOut[p.ResponseID] {
			c.add(RulePrice, p.EventID, "%s from call %s: response %s is not in responses", p.Instrument, p.CallID, p.ResponseID)
		}
		return ""
	}
	key, _ := identity(p.Provider, p.Instrument, p.Kind, p.RateType, p.TradeID, p.ValueDate, sourceTime, slot)
	return key
}

// checkEvent compares the rows of one event with what was served.
func (c *check) checkEvent(ev *event) {
	slices.SortFunc(ev.rows, func(a, b *Price) int { return cmp.Compare(a.Revision, b.Revision) })
	slices.SortFunc(ev.served, func(a, b observation) int {
		return cmp.Or(cmp.Compare(a.response.Partition, b.response.Partition),
			cmp.Compare(a.response.Offset, b.response.Offset), cmp.Compare(a.position, b.position))
	})
	if len(ev.served) == 0 && c.allLeftOut(ev.rows) {
		return
	}
	if len(ev.rows) == 0 {
		o := &ev.served[0]
		c.add(RulePrice, o.entry.ID, "%s, served as %s, is not in prices", ev.key, o.values)
		return
	}
	sound := true
	for i, row := range ev.rows {
		if row.Revision != i {
			c.add(RuleRevision, row.EventID, "%s: revision %d where %d should be", ev.key, row.Revision, i)
			sound = false
		}
		sound = c.checkRow(ev, row) && sound
	}
	if sound {
		c.checkSequence(ev)
	}
	c.count(ev)
}

func (c *check) allLeftOut(rows []*Price) bool {
	for _, row := range rows {
		if !c.leftOut[row.ResponseID] {
			return false
		}
	}
	return true
}

// checkRow compares one row with the answer it names.
func (c *check) checkRow(ev *event, row *Price) bool {
	if c.leftOut[row.ResponseID] {
		return true
	}
	at := slices.IndexFunc(ev.served, func(o observation) bool { return o.response.ResponseID == row.ResponseID })
	if at < 0 {
		c.add(RulePrice, row.EventID, "%s: %s, but the answer it names does not say so", ev.key, row.Price)
		return false
	}
	o := &ev.served[at]
	got, cut, err := valuesOf(row.Kind, row.Price, row.Bid, row.Ask, row.Size)
	if err != nil || cut || got != o.values {
		c.add(RulePrice, o.entry.ID, "%s: the row says %s, served was %s", ev.key, got, o.values)
		return false
	}
	if row.Rounded != o.rounded {
		c.add(RuleRounded, o.entry.ID, "%s: flagged rounded %t, should be %t", ev.key, row.Rounded, o.rounded)
	}
	if row.Withdrawn {
		c.add(RuleRevision, row.EventID, "%s: withdrawn, nobody asked for it", ev.key)
	}
	if row.CallID != o.response.CallID || row.PollID != o.response.PollID {
		c.add(RulePrice, o.entry.ID, "%s: the row names call %s and poll %s, its answer %s and %s",
			ev.key, row.CallID, row.PollID, o.response.CallID, o.response.PollID)
	}
	return true
}

func (c *check) count(ev *event) {
	own := 0
	for _, row := range ev.rows {
		if c.leftOut[row.ResponseID] {
			continue
		}
		own++
		if row.Revision > 0 {
			c.Revisions++
		}
		if row.Rounded {
			c.Rounded++
		}
	}
	c.Prices += own
	c.Repeats += len(ev.served) - own
}
