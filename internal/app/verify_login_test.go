package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/schemas"
)

// A login that the brokers refuse ends `verify`, with --wait too, and `status`
// with an error that says what to change, and in good time.
func TestToolsSayThatTheLoginIsRefused(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "known", "right"), kfake.SeedTopics(1, schemas.TopicPrices))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	// As Kafka answers: kfake itself closes the connection.
	cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	c := config.Default()
	c.Kafka.Brokers = cluster.ListenAddrs()
	c.Kafka.SASL = config.SASL{Mechanism: config.SASLScram512, User: "known", Password: "env:PASSWORD"}
	c.ClickHouse.Addr = servers.FreeAddr(t)
	a, err := New(Settings{Config: c, Getenv: func(string) string { return "wrong" }}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	for name, ask := range map[string]func(context.Context) error{
		"verify --wait": func(ctx context.Context) error { _, err := a.Verify(ctx, VerifyOptions{Wait: true}); return err },
		"status": func(ctx context.Context) error {
			s, err := a.Status(ctx)
			if s.Groups != nil || s.Roles != nil || s.Calls != nil || s.Tables != nil {
				t.Errorf("status knows something: %+v", s)
			}
			if s.Kafka == nil || s.Kafka.Reason != "refuses the login" || !strings.Contains(s.Kafka.Remedy, "check kafka.sasl.user") {
				t.Errorf("of Kafka status says %+v, want that the login is refused and what to check", s.Kafka)
			}
			if s.ClickHouse == nil || s.ClickHouse.Reason != "gives no answer" {
				t.Errorf("of a ClickHouse that is away status says %+v", s.ClickHouse)
			}
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)

		err := ask(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "kafka.sasl.user") {
			t.Errorf("%s: %v, want the key to change", name, err)
		}

	}
}
