package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

const applyTopics = "run `pricelake topics apply`"

// kafka looks at the brokers: first whether they can be reached, then all else
// at once.
func (d *doctor) kafka(ctx context.Context) {
	if !d.reach(ctx, areaKafka, "kafka.brokers", d.app.settings.Config.Kafka.Brokers...) {
		return
	}
	config := d.app.kafkaConfig("doctor")
	admin, err := kafka.NewAdmin(config)
	if err != nil {
		d.add(Finding{Verdict: VerdictFail, Area: areaKafka, Check: "login", Text: err.Error(), Remedy: "correct the configuration"})
		return
	}
	defer admin.Close()
	if !d.login(ctx, admin) {
		return
	}
	look := func(check, remedy string, fn func(context.Context, question, *kafka.Admin) error) func(context.Context) {
		return func(ctx context.Context) {
			d.ask(ctx, areaKafka, check, remedy, func(ctx context.Context, q question) error { return fn(ctx, q, admin) })
		}
	}
	const acl = "look at the brokers' log; `pricelake acl` prints what each account must be allowed"
	inParallel(ctx,
		look("version", acl, d.brokerVersions),
		look("settings", acl, d.brokerSettings),
		look("topics", acl, d.topics),
		look("replicas", acl, d.replicas),
		look("groups", acl, d.groups),
		look("quarantine", acl, d.quarantine),
		look("transactions", acl, d.transactions),
		look("clock", acl, d.brokerClock))
}

func (d *doctor) login(ctx context.Context, admin *kafka.Admin) (ok bool) {
	d.ask(ctx, areaKafka, "login", "look at the brokers' log", func(ctx context.Context, q question) error {
		brokers, err := admin.Brokers(ctx)
		if err != nil {
			return fmt.Errorf("%w; topics, groups and settings were not checked", err)
		}
		var all []string
		for _, b := range brokers {
			all = append(all, fmt.Sprintf("%d at %s (%s)", b.ID, b.Address, b.Version))
		}
		q.ok("", "%s: %s", plural(len(brokers), "broker"), strings.Join(all, ", "))
		ok = true
		return nil
	})
	return ok
}

func (d *doctor) brokerVersions(ctx context.Context, q question, admin *kafka.Admin) error {
	old, err := admin.TooOld(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		q.fail(fmt.Sprintf("broker %d", id), "update it to Kafka "+kafka.OldestBroker+" or later", "it is too old: it lacks %s", old[id])
	}
	if len(old) == 0 {
		q.ok("", "every broker can do what is needed of it")
	}
	return nil
}

func (d *doctor) brokerSettings(ctx context.Context, q question, admin *kafka.Admin) error {
	wrong, err := admin.CheckBrokers(ctx, d.app.kafkaConfig("doctor"))
	if err != nil {
		return err
	}
	for _, w := range wrong {
		say := q.warn
		if w.Breaks {
			say = q.fail
		}
		say(fmt.Sprintf("broker %d", w.Broker), "make it "+w.Want, "%s is %s", w.Name, w.Is)
	}
	if len(wrong) == 0 {
		q.ok("", "sessions of %v and transactions of %v are within what the brokers allow", d.app.settings.Config.Kafka.SessionTimeout, d.app.settings.Config.Kafka.TransactionTimeout)
	}
	return nil
}

// profile is what the topics should be. What an `up` made differs from what the
// configuration of a tool says: nobody configured it here.
func (d *doctor) profile() kafka.Profile {
	if d.app.settings.Embedded {
		return kafka.Embedded()
	}
	return d.app.profile
}

// needed are settings without which records are lost or refused, as they are by a
// retention of less than kafka.LeastRetention; others are a matter of taste and speed.
func needed() []string {
	return []string{"cleanup.policy", "max.message.bytes", "message.timestamp.type", "min.compaction.lag.ms"}
}

func (d *doctor) topics(ctx context.Context, q question, admin *kafka.Admin) error {
	topics := kafka.Topics(d.profile())
	drift, err := admin.Drift(ctx, topics)
	if err != nil {
		return err
	}
	found := map[string]int32{}
	all, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	for _, t := range all {
		found[t.Name] = t.Partitions
	}
	bad := 0
	for _, c := range drift {
		if d.drifted(q, c) {
			bad++
		}
	}
	bad += d.together(q, found)
	if bad == 0 {
		q.ok("", "%s are there as described", plural(len(topics), "topic"))
	}
	return nil
}

// drifted says how a topic differs from what it should be.
func (d *doctor) drifted(q question, c kafka.TopicChange) bool {
	switch {
	case c.Kind == kafka.ChangeCreated:
		q.fail(c.Topic, applyTopics, "the topic does not exist")
	case c.Kind == kafka.ChangeRefused && d.app.settings.Embedded:
		return false // `up` was started with another number
	case c.Kind == kafka.ChangeRefused:
		q.warn(c.Topic, "set kafka.partitions to "+c.From+": the number of an existing topic is never changed", "it has %s partitions, the configuration says %s", c.From, c.To)
	case slices.Contains(needed(), c.Config), c.Config == "retention.ms" && kafka.TooShort(c.From):
		q.fail(c.Topic, applyTopics, "%s is %s instead of %s", c.Config, orUnset(c.From), c.To)
	default:
		q.warn(c.Topic, applyTopics, "%s is %s instead of %s", c.Config, orUnset(c.From), c.To)
	}
	return true
}

func orUnset(value string) string {
	if value == "" {
		return "unset"
	}
	return value
}

// together checks the pairs of topics that must have one number of partitions:
// the state of a partition of one is a partition of the other.
func (d *doctor) together(q question, partitions map[string]int32) (bad int) {
	for _, pair := range [][2]string{{schemas.TopicCalls, schemas.TopicSchedules}, {schemas.TopicObserved, schemas.TopicPrices}} {
		one, other := partitions[pair[0]], partitions[pair[1]]
		if one != 0 && other != 0 && one != other {
			bad++
			q.fail(pair[1], "delete and create the empty one of the two anew with `pricelake topics apply`",
				"it has %d partitions and %s has %d: they must be equal", other, pair[0], one)
		}
	}
	return bad
}

func (d *doctor) replicas(ctx context.Context, q question, admin *kafka.Admin) error {
	degraded, err := admin.Degraded(ctx, TopicNames()...)
	if err != nil {
		return err
	}
	for _, r := range degraded {
		subject := fmt.Sprintf("%s[%d]", r.Topic, r.Partition)
		if r.Leaderless {
			q.fail(subject, "bring its brokers back", "no broker leads the partition: it can be neither read nor written")
			continue
		}
		q.warn(subject, "bring the missing broker back", "%d of %d copies are in sync", r.InSync, r.Replicas)
	}
	if len(degraded) == 0 {
		q.ok("", "every partition has a leader and all its copies")
	}
	return nil
}

func (d *doctor) groups(ctx context.Context, q question, admin *kafka.Admin) error {
	// A topic of switches that is not there is a finding of its own.
	switched, _ := d.app.roleSwitches(ctx)
	var reasons map[string]string // asked for once somebody is missing
	for _, role := range PausableRoles() {
		if !d.about(role) {
			continue
		}
		group := groupOf(role)
		g, err := admin.Group(ctx, group)
		if err != nil {
			return err
		}
		lag, err := d.lag(ctx, admin, group)
		if err != nil {
			return err
		}
		if text := pausedText(switched[role]); text != "" {
			q.warn(group, "run `pricelake resume "+role+"` when the reason is gone", "%s, %s wait", text, plural(lag, "offset"))
			continue
		}
		if len(g.Members) > 0 {
			q.ok(group, "%s, %s behind", plural(len(g.Members), "member"), plural(lag, "offset"))
			continue
		}
		if reasons == nil {
			reasons = d.waiting(ctx)
		}
		d.add(d.idle(role, lag, reasons))
	}
	return nil
}

func (d *doctor) quarantine(ctx context.Context, q question, admin *kafka.Admin) error {
	if !d.about(lake.Role) {
		return nil
	}
	all, err := quarantines(ctx, admin)
	if err != nil {
		return err
	}
	for _, one := range all {
		q.fail(fmt.Sprintf("%s[%d]", one.Topic, one.Partition), "docs/operations.md says what to look at; then `pricelake quarantine release`", "%s", one.Reason)
	}
	if len(all) == 0 {
		q.ok("", "no partition stands still")
	}
	return nil
}

// groupOf is the consumer group of a role.
func groupOf(role string) string { return "pricelake." + role }

// lag is how many offsets a group has not settled, 0 for one that reads nothing.
func (d *doctor) lag(ctx context.Context, admin *kafka.Admin, group string) (int, error) {
	var lag int64
	for _, g := range groupTopics() {
		if g.group != group {
			continue
		}
		positions, err := admin.Positions(ctx, group, g.topics...)
		if err != nil {
			return 0, err
		}
		for _, p := range positions {
			lag += p.Lag()
		}
	}
	return int(lag), nil
}

// brokerClock judges the brokers' clock by the newest record that they have
// stamped themselves. It can only tell a clock that is ahead.
func (d *doctor) brokerClock(ctx context.Context, q question, admin *kafka.Admin) error {
	newest, err := admin.Newest(ctx, schemas.TopicPrices)
	if err != nil {
		return err
	}
	if newest.IsZero() {
		return nil
	}
	if ahead := newest.Sub(d.options.Now()); ahead > time.Second {
		q.clock("brokers", ahead)
		return nil
	}
	q.ok("brokers", "no record is stamped with a time to come")
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
