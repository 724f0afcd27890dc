package simulator

import (
	"net/http"
	"time"
)

// turn makes one answer. Its server's lock is held.
type turn struct {
	server  *Server
	route   *route
	q       *question
	address string
	n       int64 // number of the request to this address, from 1
}

// choice decides what is odd about this answer.
func (t *turn) choice() uint64 {
	return mix(t.server.cfg.Seed, "odd "+t.address, t.n)
}

// fits reports whether a kind of trouble makes sense for this answer.
func (t *turn) fits(kind Trouble) bool {
	switch kind {
	case TroubleMissingSymbol:
		return len(t.q.omittable()) > 0
	case TroubleRepeat, TroubleRepeatUntimed:
		_, ok := t.server.previous[t.address]
		return ok && t.route.repeat == kind
	case TroubleRestated:
		return len(t.restatable()) > 0
	case TroubleManyDecimals:
		return t.route.decimals
	default:
		return true
	}
}

func (t *turn) restatable() []fixingKey {
	if t.q.bank == nil {
		return nil
	}
	return t.q.bank.restatable(t.route.provider, t.q.symbols, t.q.days)
}

func (t *turn) answer(trouble Trouble) answer {
	switch trouble {
	case TroubleRateLimited:
		a := t.route.errors.answer(http.StatusTooManyRequests)
		a.retryAfter = int((t.server.cfg.RetryAfter + time.Second - 1) / time.Second)
		return a
	case TroubleServerError:
		return t.route.errors.answer(http.StatusInternalServerError)
	case TroubleHTML:
		return htmlAnswer()
	case TroubleMissingSymbol:
		omit := choose(t.q.omittable(), t.choice())
		a := t.render(odd{omit: omit})
		a.missing = []string{omit}
		return a
	case TroubleRepeat, TroubleRepeatUntimed:
		last := t.server.previous[t.address]
		a := last.answer
		a.repeatOf, a.restatement, a.shared = last.id, nil, true
		return a
	case TroubleRestated:
		restatement := t.q.bank.restateBy(choose(t.restatable(), t.choice()), t.choice())
		t.server.keepState(restatement)
		a := t.render(odd{})
		a.restatement = &restatement
		return a
	case TroubleManyDecimals:
		return t.render(odd{decimals: true})
	default:
		return t.render(odd{})
	}
}

func choose[T any](from []T, choice uint64) T { return from[choice%uint64(len(from))] }

// render makes the answer from the world. A long history that has not changed
// is not made again.
func (t *turn) render(o odd) answer {
	if t.q.bank != nil && o == (odd{}) {
		if last, ok := t.server.previous[t.address]; ok && last.version == t.q.bank.version && last.day.Equal(t.q.days[0]) {
			a := last.answer
			a.restatement, a.repeatOf, a.shared = nil, "", true
			return a
		}
	}
	body, prices := t.route.render(t.server.world, t.q, t.n, o)
	return answer{status: http.StatusOK, contentType: t.route.contentType, body: body, prices: prices}
}
