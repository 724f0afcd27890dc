package app

import (
	"context"
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

// runMonitor exports how far every consumer group is, whether or not anybody
// works for it.
func (a *App) runMonitor(ctx context.Context) error {
	var seen sync.Once
	watch := kafka.Lag{
		Config: a.kafkaConfig("monitor"),
		Groups: watchedGroups(),
		Looked: func() { seen.Do(func() { a.working("monitor") }) },
	}
	return watch.Run(ctx)
}

// watchedGroups are the groups of all roles. The scheduler's owns partitions and
// reads nothing.
func watchedGroups() []kafka.WatchedGroup {
	groups := []kafka.WatchedGroup{{Group: schedulerGroup, Topics: []string{schemas.TopicCalls}, Uncommitted: true}}
	for _, g := range groupTopics() {
		groups = append(groups, kafka.WatchedGroup{Group: g.group, Topics: g.topics})
	}
	return groups
}

// watchedNames and watchedTopics are the groups and all their topics.
func watchedNames() []string {
	var names []string
	for _, g := range watchedGroups() {
		names = append(names, g.Group)
	}
	return names
}

func watchedTopics() []string {
	var topics []string
	for _, g := range watchedGroups() {
		topics = append(topics, g.Topics...)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}
