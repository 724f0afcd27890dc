package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groupMembers is who works for a group.
type groupMembers struct {
	members int
	unowned map[string]int // partitions without a member, by topic
}

// isNoGroup reports that a group never ran, or has been forgotten.
func isNoGroup(err error) bool { return errors.Is(err, kerr.GroupIDNotFound) }

// refreshMembers asks, once in a while, who works for each group.
func (w *lagWatch) refreshMembers(ctx context.Context, all map[stream.TopicPartition]bounds) error {
	if time.Since(w.described) < membersInterval {
		return nil
	}
	var names []string
	for _, g := range w.Groups {
		names = append(names, g.Group)
	}
	described, err := w.admin.DescribeGroups(ctx, names...)
	errs := []error{known(err)}
	members := make(map[string]groupMembers, len(w.Groups))
	for _, g := range w.Groups {
		d, answered := described[g.Group]
		switch {
		case !answered:
			continue
		case d.Err != nil && !isNoGroup(d.Err):
			errs = append(errs, fmt.Errorf("describing group %q: %w", g.Group, known(d.Err)))
			continue
		}
		members[g.Group] = groupMembers{len(d.Members), unowned(g, all, d)}
	}
	w.members = members
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w.described = time.Now()
	return nil
}

// unowned counts the partitions no member has.
func unowned(g WatchedGroup, all map[stream.TopicPartition]bounds, d kadm.DescribedGroup) map[string]int {
	owned := d.AssignedPartitions()
	n := make(map[string]int, len(g.Topics))
	for tp := range all {
		if g.reads(tp.Topic) {
			if !owned.Lookup(tp.Topic, tp.Partition) {
				n[tp.Topic]++
			} else {
				n[tp.Topic] += 0 // a topic with nothing to complain about has a series too
			}
		}
	}
	return n
}

// refreshRetention asks, once in a while, how long each topic keeps its records.
func (w *lagWatch) refreshRetention(ctx context.Context) error {
	if time.Since(w.retained) < retentionEvery {
		return nil
	}
	configs, err := w.admin.DescribeTopicConfigs(ctx, w.topics...)
	if err != nil {
		return fmt.Errorf("asking for the retention of the topics: %w", known(err))
	}
	retention := make(map[string]time.Duration)
	var errs []error
	for _, c := range configs {
		if c.Err != nil {
			errs = append(errs, fmt.Errorf("asking for the retention of topic %q: %w", c.Name, known(c.Err)))
			continue
		}
		if d, ok := retentionOf(c); ok {
			retention[c.Name] = d
		}
	}
	w.retention = retention
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w.retained = time.Now()
	return nil
}

// retentionOf returns how long a topic keeps a record; ok is false when time
// alone deletes none.
func retentionOf(c kadm.ResourceConfig) (d time.Duration, ok bool) {
	deletes, ms := false, int64(-1)
	for _, e := range c.Configs {
		switch e.Key {
		case "cleanup.policy":
			deletes = strings.Contains(e.MaybeValue(), "delete")
		case "retention.ms":
			if n, err := strconv.ParseInt(e.MaybeValue(), 10, 64); err == nil {
				ms = n
			}
		}
	}
	return time.Duration(ms) * time.Millisecond, deletes && ms >= 0
}
