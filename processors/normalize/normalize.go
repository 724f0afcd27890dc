// Package normalize makes prices of answers: responses.v1 in, prices.observed.v1
// and prices.rejected.v1 out. What an answer means is the mapping's business,
// which the call's version carries; this package gives the prices their
// identity and the ids that lead back to the answer, and sees that nothing of
// an answer disappears: what is no price is a rejection with its reason.
package normalize

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// Role is the name of the role in metrics, logs and dead letters.
const Role = "normalizer"

// maxFragmentBytes bounds PriceRejected.Fragment.
const maxFragmentBytes = 4 << 10

// ErrUnknownCall is what Calls returns (wrapped or not) when the catalog has no
// such version of a call.
var ErrUnknownCall = errors.New("unknown call version")

// Calls finds the version of a call that asked for an answer.
type Calls interface {
	// Call is called in parallel. The version was there when the answer was asked
	// for. ErrUnknownCall rejects the answer for good; any other error means try
	// again. The normalizer only reads the result.
	Call(ctx context.Context, id, version string, asked time.Time) (*schemas.CallDefined, error)
}

// Reader reads an answer by the mapping of its call.
type Reader interface {
	// Read is called in parallel. It is pure: the same arguments give the same
	// reading, whose slices belong to the caller. What it cannot read it says
	// in the reading.
	Read(def *schemas.CallDefined, resp *schemas.ResponseReceived) schemas.Reading
}

// Output is a price or, when that is nil, a rejection.
type Output struct {
	Price    *schemas.Price
	Rejected *schemas.PriceRejected
}

// Normalizer is the processor. It may be used in parallel.
type Normalizer struct {
	Calls  Calls
	Reader Reader
}

var _ processors.Processor[schemas.ResponseReceived, Output] = (*Normalizer)(nil)

// Process returns the prices of an answer in the answer's order, then its
// rejections. Answers with a status other than 2xx are filtered: the poll's
// outcome tells of them.
func (n *Normalizer) Process(ctx context.Context, resp schemas.ResponseReceived) ([]Output, error) {
	if resp.Status < 200 || resp.Status > 299 {
		return nil, nil
	}
	def, err := n.Calls.Call(ctx, resp.CallID, resp.CallVersion, resp.RequestedAt)
	if errors.Is(err, ErrUnknownCall) {
		return reject(&resp, []schemas.PriceRejected{{
			Reason: schemas.RejectUnknownCall,
			Detail: fmt.Sprintf("the catalog has no version %q of call %q", resp.CallVersion, resp.CallID),
		}}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up version %q of call %q: %w", resp.CallVersion, resp.CallID, err)
	}
	reading := n.Reader.Read(def, &resp)
	return outputs(&resp, &reading), nil
}

// outputs fills in what the answer does not say itself.
func outputs(resp *schemas.ResponseReceived, reading *schemas.Reading) []Output {
	outs := make([]Output, 0, len(reading.Prices)+len(reading.Rejected))
	rejected := reading.Rejected
	var ordinals ordinals
	for i := range reading.Prices {
		p := &reading.Prices[i]
		complete(p, resp)
		if err := p.Validate(); err != nil {
			rejected = append(rejected, schemas.PriceRejected{
				Reason:     schemas.RejectInvalid,
				Detail:     strings.ReplaceAll(err.Error(), "\n", "; "),
				Instrument: p.Instrument,
			})
			continue
		}
		p.EventID = ordinals.eventID(p, resp)
		outs = append(outs, Output{Price: p})
	}
	if len(rejected) == 0 && (reading.Outcome == schemas.PollUnparsable || reading.Outcome == schemas.PollErrorAnswer) {
		rejected = append(rejected, whole(reading))
	}
	return append(outs, reject(resp, rejected)...)
}

// complete fills the fields of the poll, and the event time where the answer
// gives none.
func complete(p *schemas.Price, resp *schemas.ResponseReceived) {
	p.Revision = 0
	p.Provider, p.CallID, p.CallVersion = resp.Provider, resp.CallID, resp.CallVersion
	p.RequestedAt, p.FetchedAt = resp.RequestedAt, resp.FetchedAt
	p.PollID, p.ResponseID, p.CorrelationID = resp.PollID, resp.ResponseID, resp.CorrelationID
	switch {
	case p.EventTimeKind == schemas.TimeFetched:
		p.EventTime = resp.FetchedAt
	case p.EventTimeKind == schemas.TimeValueDate && p.ValueDate != nil:
		p.EventTime = p.ValueDate.Time()
	}
}

// ordinals counts the equal trades of one answer. The zero value is ready.
type ordinals struct {
	seen map[schemas.ID]int // by the id with ordinal 0
}

// eventID returns the event id of p, the next price of the answer. A trade
// without an id of the source is told apart from its equals by its place among
// them.
func (o *ordinals) eventID(p *schemas.Price, resp *schemas.ResponseReceived) schemas.ID {
	id := schemas.EventID(p, resp.Slot, 0)
	if p.Kind != schemas.KindTrade || p.Identity() == schemas.IdentityTrade {
		return id
	}
	if o.seen == nil {
		o.seen = map[schemas.ID]int{}
	}
	ordinal := o.seen[id]
	o.seen[id]++
	if ordinal == 0 {
		return id
	}
	return schemas.EventID(p, resp.Slot, ordinal)
}

// whole is the rejection of an answer of which the reading has nothing to show.
func whole(reading *schemas.Reading) schemas.PriceRejected {
	reason := schemas.RejectUnparsable
	if reading.Outcome == schemas.PollErrorAnswer {
		reason = schemas.RejectErrorAnswer
	}
	return schemas.PriceRejected{Reason: reason, Detail: reading.Error}
}

// reject fills the fields of the poll of the rejections of one answer and
// numbers them.
func reject(resp *schemas.ResponseReceived, rejected []schemas.PriceRejected) []Output {
	outs := make([]Output, len(rejected))
	for i := range rejected {
		r := &rejected[i]
		r.RejectID = schemas.RejectID(resp.ResponseID, i)
		r.Fragment = clip(r.Fragment)
		r.Provider, r.CallID, r.CallVersion = resp.Provider, resp.CallID, resp.CallVersion
		r.FetchedAt = resp.FetchedAt
		r.PollID, r.ResponseID, r.CorrelationID = resp.PollID, resp.ResponseID, resp.CorrelationID
		outs[i].Rejected = r
	}
	return outs
}

// clip cuts a fragment to its bound, between characters.
func clip(s string) string {
	if len(s) > maxFragmentBytes {
		s = s[:maxFragmentBytes]
	}
	return strings.ToValidUTF8(s, "")
}
