package kafka

import (
	"strings"
	"testing"
	"time"
)

// A broker's settings are judged by the configuration; those it does not tell are
// passed over.
func TestJudgeBrokerSettings(t *testing.T) {
	c := DefaultConfig()
	c.SessionTimeout, c.TransactionTimeout = 10*time.Second, 8*time.Second
	f := func(settings map[string]string, want ...string) {
		t.Helper()
		var got []string
		for _, s := range c.judge(1, settings) {
			verdict := "warns"
			if s.Breaks {
				verdict = "breaks"
			}
			got = append(got, s.Name+" "+verdict)
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%v: %v, want %v", settings, got, want)
		}
	}
	f(nil)
	f(map[string]string{
		"group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "1800000", "transaction.max.timeout.ms": "900000",
		"offset.metadata.max.bytes": "4096", "socket.request.max.bytes": "104857600", "offsets.retention.minutes": "10080",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000",
	}) // a broker that nobody configured
	f(map[string]string{"group.min.session.timeout.ms": "10001"}, "group.min.session.timeout.ms breaks")
	f(map[string]string{"group.max.session.timeout.ms": "9999"}, "group.max.session.timeout.ms breaks")
	f(map[string]string{"transaction.max.timeout.ms": "7999"}, "transaction.max.timeout.ms breaks")
	f(map[string]string{"offset.metadata.max.bytes": "2047"}, "offset.metadata.max.bytes breaks")
	f(map[string]string{"offset.metadata.max.bytes": "2048"})
	f(map[string]string{"socket.request.max.bytes": "1048576"}, "socket.request.max.bytes breaks")
	f(map[string]string{"offsets.retention.minutes": "60"}, "offsets.retention.minutes warns")
}
