package schemas

import (
	"encoding/binary"
	"strconv"
	"time"
)

// Identity says which statement of a source identifies a price. The values are
// never part of it, so that a restated value is a revision of the same event;
// neither is the call, so that two calls that carry the same thing meet.
type Identity uint8

// The identities, in the order in which they are preferred.
const (
	IdentityTrade      Identity = iota // the source's id of the trade
	IdentityValueDate                  // one value for each value date
	IdentitySourceTime                 // one value for each instant of the source
	IdentitySlot                       // the source says no time: one value for each poll slot
)

const identitySymbols = "trade value_date source_time slot"

// String returns trade, value_date, source_time or slot.
func (i Identity) String() string { return symbolText(identitySymbols, i) }

// Identity returns what identifies p. A trade id counts for trades only: the
// ticker of some sources names the last trade too.
func (p *Price) Identity() Identity {
	switch {
	case p.Kind == KindTrade && p.TradeID != "":
		return IdentityTrade
	case p.ValueDate != nil:
		return IdentityValueDate
	case p.EventTimeKind == TimeSource || p.EventTimeKind == TimePublish:
		return IdentitySourceTime
	default:
		return IdentitySlot
	}
}

// EventID returns the identity of p. It depends on provider, instrument, kind,
// rate type, session and the one statement that Identity names, and on nothing
// else; it must stay the same for ever, because rows of years ago carry it.
//
// slot is the poll's slot, used where the source says no time. ordinal tells
// apart the trades without an id that one answer gives for the same instant,
// counted from 0 in the answer's order; other kinds ignore it.
//
// The first four bytes are the minute of that statement (0 for a trade id), the
// others are hash. So ids of one time are neighbours in every store that keeps
// them in order: at 2 million ids the deduplicator's costs a third of what it
// costs with bare hashes.
func EventID(p *Price, slot time.Time, ordinal int) ID {
	what := p.Identity()
	var value string
	var at time.Time
	switch what {
	case IdentityTrade:
		value, at = p.TradeID, time.Unix(0, 0)
	case IdentityValueDate:
		value, at = p.ValueDate.String(), p.ValueDate.Time()
	case IdentitySourceTime:
		value, at = micros(p.EventTime), p.EventTime
	default:
		value, at = micros(slot), slot
	}
	number := ""
	if p.Kind == KindTrade && what != IdentityTrade {
		number = strconv.Itoa(ordinal)
	}
	id := DeriveID("price", p.Provider, p.Instrument, p.Kind.String(), p.RateType.String(), p.Session,
		what.String(), value, number)
	binary.BigEndian.PutUint32(id[:4], uint32(max(0, at.Unix()/60)))
	return id
}

// PollID returns the id of the poll of a call for a slot. The same slot asked
// for by another origin is another poll.
func PollID(callID string, slot time.Time, origin PollOrigin) ID {
	return DeriveID("poll", callID, micros(slot), origin.String())
}

// ResponseID returns the id of the answer to one attempt of a poll, from 1.
func ResponseID(pollID ID, attempt int32) ID {
	return DeriveID("response", string(pollID[:]), strconv.FormatInt(int64(attempt), 10))
}

// RejectID returns the id of the ordinal-th rejected part of an answer, from 0.
func RejectID(responseID ID, ordinal int) ID {
	return DeriveID("reject", string(responseID[:]), strconv.Itoa(ordinal))
}

// DeadLetterID returns the id of the dead letter of one record.
func DeadLetterID(topic string, topicID ID, partition int32, offset int64) ID {
	return DeriveID("deadletter", topic, string(topicID[:]),
		strconv.FormatInt(int64(partition), 10), strconv.FormatInt(offset, 10))
}

func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
