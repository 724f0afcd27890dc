package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/prometheus/client_golang/prometheus"
)

func TestProgressAge(t *testing.T) {
	tp := stream.TopicPartition{Topic: "t"}
	f := func(what string, want standing, play func(m *metrics, p *progress) *progress) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := privateMetrics()
			p := play(m, m.track("g", tp))
			if got := p.at(time.Now()); got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
			if _, ok := m.sample()[p]; !ok {
				t.Errorf("%s: the partition has no series", what)
			}
		})
	}
	f("nothing to do", standing{}, func(_ *metrics, p *progress) *progress {
		p.starts(7, 7)
		time.Sleep(time.Hour)
		return p
	})
	f("a lag that nobody fetches", standing{age: time.Hour, lag: 3}, func(_ *metrics, p *progress) *progress {
		p.starts(7, 7)
		time.Sleep(time.Hour)
		p.seen(9)
		time.Sleep(time.Minute)
		p.seen(10)
		time.Sleep(59 * time.Minute)
		return p
	})
	f("a lag from the start on", standing{age: time.Hour, lag: 10}, func(_ *metrics, p *progress) *progress {
		p.starts(0, 10)
		time.Sleep(time.Hour)
		return p
	})
	f("records in hand have their own age", standing{age: 2 * time.Hour, lag: 10, inFlight: 4}, func(_ *metrics, p *progress) *progress {
		p.starts(0, 10)
		p.holds(4, time.Now().Add(-time.Hour))
		time.Sleep(time.Hour)
		return p
	})
	f("a lag that moves is young", standing{age: time.Second, lag: 5}, func(_ *metrics, p *progress) *progress {
		p.starts(0, 10)
		time.Sleep(time.Hour)
		p.settle(5)
		time.Sleep(time.Second)
		return p
	})
	f("caught up", standing{}, func(_ *metrics, p *progress) *progress {
		p.starts(0, 10)
		time.Sleep(time.Hour)
		p.settle(10)
		time.Sleep(time.Hour)
		return p
	})
	f("lost with a lag", standing{age: 3 * time.Hour, lag: 2}, func(m *metrics, p *progress) *progress {
		p.starts(5, 7)
		time.Sleep(2 * time.Hour)
		m.leave(p, true)
		time.Sleep(time.Hour)
		return p
	})
	f("lost without a lag", standing{age: time.Hour}, func(m *metrics, p *progress) *progress {
		p.starts(5, 5)
		time.Sleep(2 * time.Hour)
		m.leave(p, true)
		time.Sleep(time.Hour)
		return p
	})
	f("back again and still behind", standing{age: 2 * time.Hour, lag: 2}, func(m *metrics, p *progress) *progress {
		p.starts(5, 7)
		m.leave(p, true)
		time.Sleep(time.Hour)
		m.forget("g", map[string][]int32{"t": {0}})
		p = m.track("g", tp)
		p.starts(5, 7)
		time.Sleep(time.Hour)
		return p
	})
	f("back again without a lag", standing{}, func(m *metrics, p *progress) *progress {
		p.starts(5, 5)
		m.leave(p, true)
		time.Sleep(time.Hour)
		p = m.track("g", tp)
		p.starts(5, 5)
		time.Sleep(time.Hour)
		return p
	})
	f("standing still from one membership to the next", standing{age: 3 * time.Hour}, func(m *metrics, p *progress) *progress {
		p.stands()
		time.Sleep(time.Hour)
		m.leave(p, true)
		time.Sleep(time.Hour)
		p = m.track("g", tp)
		p.stands()
		time.Sleep(time.Hour)
		return p
	})
}

func TestSeriesEnd(t *testing.T) {
	m := privateMetrics()
	given := m.track("g", stream.TopicPartition{Topic: "t", Partition: 0})
	lost := m.track("g", stream.TopicPartition{Topic: "t", Partition: 1})
	other := m.track("h", stream.TopicPartition{Topic: "t", Partition: 1})
	m.leave(given, false)
	m.leave(lost, true)
	m.leave(other, true)
	if n := len(m.sample()); n != 2 {
		t.Errorf("%d partitions have series, want the two that were lost", n)
	}
	m.forget("g", nil) // the group has answered
	if got := m.sample(); len(got) != 1 || got[other] {
		t.Errorf("%v have series, want the other group's only, without an owner", got)
	}
}

func TestMetricsAreSharedOrRefused(t *testing.T) {
	reg := prometheus.NewRegistry()
	first, err := newMetrics(reg)
	if err != nil {
		t.Fatal(err)
	}
	again, err := newMetrics(reg)
	if err != nil || again != first {
		t.Errorf("a second loop has metrics of its own (%v)", err)
	}
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "pricelake_kafka_unsettled_age_seconds"}))
	if _, err := newMetrics(taken); err == nil {
		t.Error("a name that something else has taken is no error")
	}
	cfg := DefaultConfig()
	cfg.Brokers, cfg.Registerer = []string{"127.0.0.1:1"}, taken
	for loop, err := range map[string]error{
		"range":    Range{Config: cfg, Group: "g", Topics: map[string]Flush{"t": {}}}.Run(t.Context(), nil),
		"window":   Window{Config: cfg, Group: "g", Topic: "t", TransactionalID: "x"}.Run(t.Context(), nil),
		"owner":    Owner{Config: cfg, Group: "g", Topic: "t"}.Run(t.Context(), nil),
		"transact": Transact{Config: cfg, Group: "g", Topics: []string{"t"}, TransactionalID: "x"}.Run(t.Context(), nil),
	} {
		if err == nil {
			t.Errorf("%s runs without its metrics", loop)
		}
	}
}
