package kafka

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// pace hands out the turns of a topic's writes that are not full: so many a second,
// and as many at once after a rest. Partitions that all begin at the same moment would
// else be written at the same moment, each in a block of its own. It may be used in
// parallel.
type pace struct{ limit *rate.Limiter }

// paceShare is the part of the turns that is handed out one after the other: those that
// come at once after a rest are made up for within twenty seconds, over which there are
// no more than so many a second.
const paceShare = 0.95

func newPace(perSecond float64) pace {
	return pace{rate.NewLimiter(rate.Limit(paceShare*perSecond), int(math.Ceil(perSecond)))}
}

// turn takes the next turn and says when it is.
func (p pace) turn() time.Time { return time.Now().Add(p.limit.Reserve().Delay()) }

// active counts the partitions of the topic that hold records, or were written
// within as long as all of them take when every one of them is written in turn,
// perSecond of them a second.
func (m *member) active(topic string, perSecond float64) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	var owned []*assignment
	for tp, a := range m.owned {
		if tp.Topic == topic {
			owned = append(owned, a)
		}
	}
	since := time.Now().Add(-seconds(float64(len(owned)) / perSecond)).UnixNano()
	n := 0
	for _, a := range owned {
		if a.progress.holding() || a.wrote.Load() > since {
			n++
		}
	}
	return n
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
