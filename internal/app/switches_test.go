package app

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

// A topic of switches that was deleted and created again is another one: what was
// paused by the one before goes on, as it does in a process that starts now.
func TestSwitchesNoticeANewTopic(t *testing.T) {
	r := newRig(t)
	r.startBroker()
	r.startRegistry()
	a := r.app("")
	if _, err := a.RegisterSchemas(t.Context()); err != nil {
		t.Fatal(err)
	}
	topics := func() {
		t.Helper()
		if _, err := kafka.ApplyTopics(t.Context(), a.kafkaConfig("test"), kafka.Topics(a.profile)); err != nil {
			t.Fatal(err)
		}
	}
	topics()
	paused := func(role string) bool {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := a.await(ctx, "the switches", a.switches.refresh); err != nil {
			t.Fatal(err)
		}
		return first(a.switches.of(role)).Paused
	}
	change := func(role string, to bool) {
		t.Helper()
		if _, err := a.SwitchRole(t.Context(), role, to, "test", ""); err != nil {
			t.Fatal(err)
		}
	}
	change("poller", true)
	change("lake", true)
	if !paused("poller") || !paused("lake") {
		t.Error("not paused")
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(t.Context(), schemas.TopicRoles); err != nil {
		t.Fatal(err)
	}
	topics()
	change("lake", true)
	if paused("poller") {
		t.Error("the poller is paused by a topic that is gone")
	}
	if !paused("lake") {
		t.Error("the lake is not paused by the topic that is there")
	}
	for _, reason := range []string{"it moves", ""} { // a second pause without a word keeps the first one's
		s, err := a.SwitchRole(t.Context(), "lake", true, "test", reason)
		if err != nil || s.Reason != "it moves" || s.Changed != (reason != "") {
			t.Errorf("pausing with the reason %q: %+v, %v", reason, s, err)
		}
	}
}
