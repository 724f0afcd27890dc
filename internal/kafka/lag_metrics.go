package kafka

import (
	"strconv"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
)

// lagView is what one look has found.
type lagView struct {
	at         time.Time // when the look began
	partitions []lagAt
	open       []openAt
	retention  map[string]time.Duration
	members    map[string]groupMembers
}

// lagAt is where a group is in one partition.
type lagAt struct {
	key
	known   bool      // what follows of the first unprocessed record is
	first   time.Time // timestamp of the first unprocessed record; zero: none waits
	lag     int64
	expired int64
}

// newLagAt says where a group is that has committed an offset, -1 for none. Once
// only transaction markers are left there is nothing to do.
func newLagAt(k key, committed int64, b bounds, first firstRecord, known bool) lagAt {
	at := lagAt{key: k, known: known, lag: max(0, b.end-max(committed, b.first))}
	if first.found {
		at.first = first.timestamp
	} else if first.next >= b.end {
		at.lag = 0
	}
	if committed >= 0 {
		at.expired = max(0, b.first-committed)
	}
	return at
}

// openAt is how long the oldest transaction of a partition has been open.
type openAt struct {
	stream.TopicPartition
	since time.Time // zero: none that is worth mentioning
}

// lagCollector shows the last look. Ages are computed when asked for, so they
// are exact to the scrape and grow while nothing else moves.
type lagCollector struct {
	failed prometheus.Counter

	age, lag, expired, left, open, retention, members, unowned, looked *prometheus.Desc

	now func() time.Time

	mu   sync.Mutex
	view lagView
}

func newLagCollector() *lagCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("pricelake_"+name, help, labels, nil)
	}
	partition := []string{"group", "topic", "partition"}
	return &lagCollector{
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pricelake_monitor_failures_total", Help: "Looks at the groups that did not see everything."}),
		age:       desc("event_age_seconds", "Age of the oldest record the group has not processed, by the record's timestamp; 0 when it has processed everything. Of every group, whether or not it runs.", partition...),
		lag:       desc("event_lag_records", "Offsets between the group's position and the end of the partition; 0 when only transaction markers are left.", partition...),
		expired:   desc("event_expired_records", "Offsets that retention deleted ahead of the group's position: the group can never process them.", partition...),
		left:      desc("time_to_truncation_seconds", "How long retention by time leaves the group at least to process its oldest record; the whole retention when it has processed everything.", partition...),
		retention: desc("topic_retention_seconds", "How long the topic keeps a record by time; no series where time deletes none.", "topic"),
		open:      desc("open_transaction_seconds", "How long a transaction has been open in the partition, if for more than a moment; 0 without one. Nothing behind it can be processed.", "topic", "partition"),
		members:   desc("group_members", "Members of the consumer group.", "group"),
		unowned:   desc("group_unowned_partitions", "Partitions that no member of the group works on.", "group", "topic"),
		looked:    desc("monitor_last_look_timestamp_seconds", "When the monitor last saw where the groups are. Without a look for 30 s it exports nothing else."),
		now:       time.Now,
	}
}

// show replaces the picture.
func (c *lagCollector) show(v lagView) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.view = v
}

// Describe implements prometheus.Collector.
func (c *lagCollector) Describe(ch chan<- *prometheus.Desc) {
	c.failed.Describe(ch)
	for _, d := range []*prometheus.Desc{c.age, c.lag, c.expired, c.left, c.open, c.retention, c.members, c.unowned, c.looked} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *lagCollector) Collect(ch chan<- prometheus.Metric) {
	c.failed.Collect(ch)
	c.mu.Lock()
	v := c.view
	c.mu.Unlock()
	now := c.now()
	if v.at.IsZero() {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(c.looked, float64(v.at.UnixMicro())/1e6)
	if now.Sub(v.at) > lagForgotten {
		return
	}
	for _, p := range v.partitions {
		labels := []string{p.group, p.tp.Topic, strconv.Itoa(int(p.tp.Partition))}
		gauge(c.lag, float64(p.lag), labels...)
		gauge(c.expired, float64(p.expired), labels...)
		if !p.known {
			continue
		}
		age := since(now, p.first)
		gauge(c.age, age.Seconds(), labels...)
		if keeps, ok := v.retention[p.tp.Topic]; ok {
			gauge(c.left, max(0, keeps-age).Seconds(), labels...)
		}
	}
	for _, o := range v.open {
		gauge(c.open, since(now, o.since).Seconds(), o.Topic, strconv.Itoa(int(o.Partition)))
	}
	for topic, keeps := range v.retention {
		gauge(c.retention, keeps.Seconds(), topic)
	}
	for group, m := range v.members {
		gauge(c.members, float64(m.members), group)
		for topic, n := range m.unowned {
			gauge(c.unowned, float64(n), group, topic)
		}
	}
}

// since is how long t is ago, 0 when it is zero or ahead of this clock.
func since(now, t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t))
}
