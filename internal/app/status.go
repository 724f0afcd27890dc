package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Status is what is running, how far it is, and what fails.
type Status struct {
	Calls  []CallStatus  `json:"calls"`
	Groups []GroupStatus `json:"groups"`
	// Roles are those that can be paused, in the order of the path.
	Roles    []RoleStatus      `json:"roles"`
	Tables   []lake.TableStats `json:"tables"`
	Warnings []string          `json:"warnings,omitempty"`
	// Kafka and ClickHouse say why nothing is known of them; nil when all is.
	Kafka      *NotKnown `json:"kafka_not_known,omitempty"`
	ClickHouse *NotKnown `json:"clickhouse_not_known,omitempty"`
}

// RoleStatus says whether a role is paused, and who switched it last, when and
// why; those are empty for a role that never was.
type RoleStatus struct {
	Role       string    `json:"role"`
	Paused     bool      `json:"paused"`
	Reason     string    `json:"reason,omitempty"`
	SwitchedBy string    `json:"switched_by,omitempty"`
	SwitchedAt time.Time `json:"switched_at,omitzero"`
}

// CallStatus is the last poll of a call, with counts of the last hour.
type CallStatus struct {
	CallID     string    `json:"call_id"`
	Provider   string    `json:"provider"`
	Outcome    string    `json:"outcome"`
	Error      string    `json:"error,omitempty"`
	FinishedAt time.Time `json:"finished_at"`
	Polls      uint64    `json:"polls"`
	NotValued  uint64    `json:"not_valued"`
}

// GroupStatus is how far a consumer group is in one topic.
type GroupStatus struct {
	Group      string `json:"group"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	Lag        int64  `json:"lag"` // offsets not settled, markers included
	Members    int    `json:"members"`
}

// groupTopics says which topics each consumer group reads.
func groupTopics() []struct {
	group  string
	topics []string
} {
	var loaded []string
	for _, t := range lake.Tables() {
		loaded = append(loaded, t.Topic)
	}
	return []struct {
		group  string
		topics []string
	}{
		{"pricelake.poller", []string{schemas.TopicRequests}},
		{"pricelake.normalizer", []string{schemas.TopicResponses}},
		{"pricelake.deduplicator", []string{schemas.TopicObserved}},
		{lakeGroup, loaded},
	}
}

// Status asks Kafka and the lake. The error says which of them does not answer;
// what the other one says is in the status all the same. What is not known is
// nil, what is known to be nothing is empty.
func (a *App) Status(ctx context.Context) (Status, error) {
	var s Status
	kafkaDown := inTime(ctx, func(ctx context.Context) error { return errors.Join(a.groupStatus(ctx, &s), a.roleStatus(ctx, &s)) })
	if kafkaDown != nil {
		s.Groups, s.Roles = nil, nil
	}
	lakeDown := inTime(ctx, func(ctx context.Context) error { return a.lakeStatus(ctx, &s) })
	if lakeDown != nil {
		s.Calls, s.Tables = nil, nil
	}
	s.Kafka, s.ClickHouse = notKnown(kafkaDown), notKnown(lakeDown)
	_ = inTime(ctx, func(ctx context.Context) error { a.schemaStatus(ctx, &s); return nil })
	return s, errors.Join(kafkaDown, lakeDown)
}

// inTime gives one server as long as a person waits: one that is silent does not
// take the time of the next.
func inTime(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return ask(ctx)
}

func (a *App) groupStatus(ctx context.Context, s *Status) error {
	admin, err := kafka.NewAdmin(a.kafkaConfig("status"))
	if err != nil {
		return err
	}
	defer admin.Close()
	s.Groups = []GroupStatus{}
	for _, g := range watchedGroups() {
		group, err := admin.Group(ctx, g.Group)
		if err != nil {
			return err
		}
		positions, err := admin.Positions(ctx, g.Group, g.Topics...)
		if err != nil {
			return err
		}
		if len(group.Members) == 0 {
			s.Warnings = append(s.Warnings, "nobody works for group "+g.Group)
		}
		var last *GroupStatus
		for _, p := range positions {
			if last == nil || last.Topic != p.Topic {
				s.Groups = append(s.Groups, GroupStatus{Group: g.Group, Topic: p.Topic, Members: len(group.Members)})
				last = &s.Groups[len(s.Groups)-1]
			}
			if p.Stopped != "" {
				s.Warnings = append(s.Warnings, fmt.Sprintf("%s[%d] stands still for %s, see `pricelake quarantine ls`: %s", p.Topic, p.Partition, g.Group, p.Stopped))
			}
			last.Partitions++
			if !g.Uncommitted {
				last.Lag += p.Lag()
			}
		}
	}
	return nil
}

// schemaStatus warns of fields that others write and nobody here reads, and of
// records that nobody here can read. Without an answer of the registry nothing is
// known of that, and no role waits for it.
func (a *App) schemaStatus(ctx context.Context, s *Status) {
	for _, subject := range avro.Schemas() {
		fields, err := a.registry.Unloaded(ctx, subject)
		if err != nil {
			return
		}
		unreadable, err := a.registry.Unreadable(ctx, subject)
		if err != nil {
			return
		}
		for _, v := range unreadable {
			s.Warnings = append(s.Warnings, cannotBeRead(subject, v))
		}
		if len(fields) > 0 && len(unreadable) == 0 {
			s.Warnings = append(s.Warnings, passedOver(subject, fields))
		}
	}
}

// lakeStatus asks the lake about calls and tables.
func (a *App) lakeStatus(ctx context.Context, s *Status) error {
	s.Calls = []CallStatus{}
	err := a.eachRow(ctx, callStatusSQL, func(c []string) {
		s.Calls = append(s.Calls, CallStatus{CallID: c[0], Provider: c[1], Outcome: c[2], Error: c[3], FinishedAt: micros(c[4]), Polls: count(c[5]), NotValued: count(c[6])})
	})
	if err != nil {
		return err
	}
	l, err := a.openLake()
	if err != nil {
		return err
	}
	s.Tables, err = l.Stats(ctx)
	return err
}

const callStatusSQL = `SELECT call_id, any(provider), argMax(outcome, finished_at), argMax(error, finished_at), toUnixTimestamp64Micro(max(finished_at)),
	count(), countIf(outcome != 'valued')
FROM polls WHERE finished_at > now() - INTERVAL 1 HOUR GROUP BY call_id ORDER BY call_id`

// eachRow runs a query whose answer is small; NULL comes as empty text.
func (a *App) eachRow(ctx context.Context, statement string, each func([]string)) error {
	l, err := a.openLake()
	if err != nil {
		return err
	}
	return l.Query(ctx, statement, func([]lake.Column) error { return nil }, func(cells []*string) error {
		row := make([]string, len(cells))
		for i, c := range cells {
			if c != nil {
				row[i] = *c
			}
		}
		each(row)
		return nil
	})
}

func count(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64) // ClickHouse's own number
	return n
}

func micros(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64) // ClickHouse's own number
	return time.UnixMicro(n).UTC()
}
