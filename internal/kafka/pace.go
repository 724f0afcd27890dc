package kafka

import "time"

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
