package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// PausableRoles lists the roles that can be paused: all that move records.
func PausableRoles() []string {
	return slices.DeleteFunc(RoleNames(), func(name string) bool { return name == "monitor" })
}

// RoleSwitch is the state of a role and how it came to it.
type RoleSwitch struct {
	schemas.RoleSwitched
	// Changed is false when the role was in that state, for that reason, before.
	Changed bool `json:"changed"`
}

// SwitchRole pauses or resumes a role in every process that runs it, now and
// after any restart, and says by whom and why. Processes follow within seconds.
func (a *App) SwitchRole(ctx context.Context, role string, paused bool, by, reason string) (RoleSwitch, error) {
	if !slices.Contains(PausableRoles(), role) {
		return RoleSwitch{}, fmt.Errorf("no role %q that can be paused; those are %s", role, strings.Join(PausableRoles(), ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	before, err := a.roleSwitches(ctx)
	if err != nil {
		return RoleSwitch{}, err
	}
	if last := before[role]; last.Paused == paused && (last.Reason == reason || reason == "" || !paused) {
		last.Role = role
		return RoleSwitch{RoleSwitched: last}, nil
	}
	now := schemas.RoleSwitched{Role: role, Paused: paused, Reason: reason, SwitchedBy: by, SwitchedAt: time.Now().UTC().Truncate(time.Microsecond)}
	enc, err := codec[schemas.RoleSwitched](ctx, a, schemas.TopicRoles)
	if err != nil {
		return RoleSwitch{}, err
	}
	value, err := enc.Append(nil, &now)
	if err != nil {
		return RoleSwitch{}, fmt.Errorf("encoding the switch of role %q: %w", role, err)
	}
	producer, err := kafka.NewProducer(a.kafkaConfig("switch"))
	if err != nil {
		return RoleSwitch{}, err
	}
	defer producer.Close()
	event := stream.CloudEvent{
		ID:     fmt.Sprintf("%s/%d", role, now.SwitchedAt.UnixMicro()),
		Source: "/pricelake/roles",
		Type:   "pricelake.v1.RoleSwitched",
		Time:   now.SwitchedAt,
	}
	err = producer.Publish(ctx, stream.Record{Topic: schemas.TopicRoles, Key: []byte(role), Value: value, Headers: event.Headers()})
	if err != nil {
		return RoleSwitch{}, fmt.Errorf("switching role %q: %w", role, err)
	}
	return RoleSwitch{RoleSwitched: now, Changed: true}, nil
}

// roleSwitches reads the state of every role that was ever switched.
func (a *App) roleSwitches(ctx context.Context) (map[string]schemas.RoleSwitched, error) {
	var last map[string]schemas.RoleSwitched
	all := topicReader{open: a.streamLog, topic: schemas.TopicRoles}
	err := all.read(ctx, func(news appended) (err error) {
		last, err = a.switchesOf(ctx, news.records)
		return err
	})
	return last, err
}

// roleStatus adds the roles that can be paused to the status.
func (a *App) roleStatus(ctx context.Context, s *Status) error {
	switched, err := a.roleSwitches(ctx)
	if err != nil {
		return err
	}
	for _, role := range PausableRoles() {
		now := switched[role]
		s.Roles = append(s.Roles, RoleStatus{Role: role, Paused: now.Paused, Reason: now.Reason, SwitchedBy: now.SwitchedBy, SwitchedAt: now.SwitchedAt})
		if text := pausedText(now); text != "" {
			s.Warnings = append(s.Warnings, role+" is "+text)
		}
	}
	return nil
}
