package avro

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// ErrNoSchema means that a record names a schema that the registry does not have,
// though it has ours: it has not lost its memory, and asking again will not help.
var ErrNoSchema = errors.New("the record names a schema that does not exist")

const (
	// missingFor is how long an id that the registry did not have is not asked for
	// again: records that name it come by the thousand.
	missingFor = 5 * time.Second
	// graceEvery is the least time between two ids that are given a second chance:
	// a registry of several servers may learn of a schema a moment late, and who
	// writes ids at random must not hold a partition up with each of them.
	graceEvery = 10 * time.Second
	// graceAgain is after how long an id that had its second chance in vain has
	// another: somebody who writes it all the time must not hold a partition up
	// every graceEvery.
	graceAgain = 10 * time.Minute
)

// graces are the pauses of a second chance.
func graces() []time.Duration { return []time.Duration{200 * time.Millisecond, 600 * time.Millisecond} }

// missing remembers ids that the registry does not have. The zero value is ready.
type missing struct {
	mu    sync.Mutex
	ids   map[int]absence
	grace time.Time // the last one
}

type absence struct {
	since time.Time
	err   error
	grace time.Time // its last second chance
}

// get returns the error of an id that was missing a moment ago, nil if it is to be
// asked for.
func (m *missing) get(id int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ids[id]
	if a.err == nil || time.Since(a.since) > missingFor {
		return nil
	}
	return a.err
}

func (m *missing) put(id int, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ids[id]
	a.since, a.err = time.Now(), err
	m.note(id, a)
	return err
}

// vain notes that an id had its second chance.
func (m *missing) vain(id int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.ids[id]
	a.grace = time.Now()
	m.note(id, a)
}

// note keeps of ids that are too many those that had a second chance: no more than one
// every graceEvery.
func (m *missing) note(id int, a absence) {
	if len(m.ids) >= maxSchemas {
		maps.DeleteFunc(m.ids, func(_ int, a absence) bool { return time.Since(a.grace) > graceAgain })
	}
	if m.ids == nil {
		m.ids = map[int]absence{}
	}
	m.ids[id] = a
}

// chances are the pauses after which to ask for an id again.
func (m *missing) chances(id int) []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.grace) < graceEvery || time.Since(m.ids[id].grace) < graceAgain {
		return nil
	}
	m.grace = time.Now()
	return graces()
}

// writerSchema returns the schema that a record of a subject names. ErrNoSchema,
// ErrBadRecord, ErrUnavailable.
func (c *Client) writerSchema(ctx context.Context, id int, ours Subject) (string, error) {
	if err := c.missing.get(id); err != nil {
		return "", err
	}
	text, err := c.Schema(ctx, id)
	if errors.Is(err, ErrBadRecord) {
		return "", c.missing.put(id, err)
	}
	if !errors.Is(err, ErrNotFound) {
		return text, err
	}
	chances := c.missing.chances(id)
	for _, pause := range chances {
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", ctx.Err()
		case <-timer.C:
		}
		if text, err = c.Schema(ctx, id); !errors.Is(err, ErrNotFound) {
			return text, err
		}
	}
	if len(chances) > 0 {
		c.missing.vain(id)
	}
	if _, lost := c.Lookup(ctx, ours.Name, ours.Schema); lost != nil {
		return "", fmt.Errorf("the registry has neither schema %d nor ours: %w", id, lost)
	}
	return "", c.missing.put(id, fmt.Errorf("%w: %w", ErrNoSchema, err))
}
