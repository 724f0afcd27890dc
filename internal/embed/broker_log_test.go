//go:build !noembed && unix

package embed

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestBrokerLogRemembersTheFirstFailedWrite(t *testing.T) {
	l := newBrokerLog(slog.New(slog.DiscardHandler))
	l.Logf(kfake.LogLevelWarn, "txn: EndTxn slow pid=%d", 1)
	l.Logf(kfake.LogLevelWarn, "groups.log: discarding %d corrupt trailing bytes", 7)
	l.Logf(kfake.LogLevelInfo, "persist group entry write: told to nobody")
	if err := l.failure(); err != nil {
		t.Fatalf("a harmless message counts as a failed write: %v", err)
	}
	l.Logf(kfake.LogLevelWarn, "persist group entry write: %v", "no space left on device")
	l.Logf(kfake.LogLevelWarn, "persist batch prices-0: later")
	if err := l.failure(); err == nil || !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "later") {
		t.Errorf("failure %v, want the first one", err)
	}
}
