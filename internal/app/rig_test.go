package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/pricelake/pricelake/schemas/avro"
)

func TestMain(m *testing.M) {
	if status, is := beRebuild(); is {
		os.Exit(status)
	}
	goleak.VerifyTestMain(withEngine{m})
}

// withEngine ends the engine of the tests before anyone looks for what they left
// running.
type withEngine struct{ *testing.M }

func (m withEngine) Run() int { return embedtest.Main(m.M) }

// rig is where servers will be, and a configuration that names them.
type rig struct {
	t      *testing.T
	dir    string
	addrs  *embed.Addresses
	config config.Config
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), config: config.Default()}
	var err error
	if r.addrs, err = embed.OpenAddresses(r.dir); err != nil {
		t.Fatal(err)
	}
	r.config.Kafka.Brokers = []string{servers.FreeAddr(t)}
	r.config.Kafka.ReplicationFactor = 1
	r.config.Kafka.Partitions = 1
	r.config.Kafka.SessionTimeout, r.config.Kafka.TransactionTimeout = 6*time.Second, 6*time.Second
	r.config.Registry.URL = "http://" + servers.FreeAddr(t)
	r.config.ClickHouse.Addr = servers.FreeAddr(t)
	r.config.Admin.Addr = "127.0.0.1:0"
	r.config.DataDir = t.TempDir()
	r.config.Lake.FlushInterval = 20 * time.Millisecond
	r.config.Lake.OtherFlushInterval = 20 * time.Millisecond
	return r
}

func (r *rig) startBroker() {
	r.t.Helper()
	b, err := embed.StartBroker(r.t.Context(), embed.BrokerConfig{DataDir: r.dir, Addresses: r.addrs, Addr: r.config.Kafka.Brokers[0], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = b.Close() })
}

func (r *rig) startRegistry() {
	r.t.Helper()
	s, err := embed.StartRegistry(r.t.Context(), embed.RegistryConfig{
		DataDir: r.dir, Addresses: r.addrs, Addr: strings.TrimPrefix(r.config.Registry.URL, "http://"), Logger: slog.New(slog.DiscardHandler),
		Check: func(_, schema string, earlier []string) error { return avro.CheckFullTransitive(schema, earlier) }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close(context.Background()) })
}

// startPipes starts what roles talk through, with its topics and schemas.
func (r *rig) startPipes() {
	r.t.Helper()
	r.startBroker()
	r.startRegistry()
	r.applyTopics()
	r.registerSchemas()
}

// app is a process with the configuration as it is now. password is that of
// ClickHouse.
func (r *rig) app(password string) *App {
	r.t.Helper()
	a, err := New(Settings{Config: r.config, ClickHousePassword: password, Getenv: func(string) string { return "" }},
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		r.t.Fatal(err)
	}
	a.profile = kafka.Embedded()
	a.profile.Partitions = 1
	r.t.Cleanup(a.Close)
	return a
}

func (r *rig) applyTopics() {
	r.t.Helper()
	if _, err := r.app("").ApplyTopics(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) registerSchemas() {
	r.t.Helper()
	a := r.app("")
	patiently(r.t, func() error { _, err := a.RegisterSchemas(r.t.Context()); return err })
}

// patiently asks a registry that has just been started, and takes its time with
// first answers, until it answers.
func patiently(t *testing.T, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		err := ask()
		if err == nil {
			return
		}
		if !errors.Is(err, avro.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// run runs roles until stop is called or the test ends, and fails it when they end
// by themselves.
func (r *rig) run(a *App, roles ...string) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx, roles) }()
	stop = sync.OnceFunc(func() {
		select {
		case err := <-done:
			r.t.Errorf("%v ended instead of waiting: %v", roles, err)
		default:
			cancel()
			if err := <-done; err != nil {
				r.t.Errorf("%v ended with %v", roles, err)
			}
		}
		cancel()
	})
	r.t.Cleanup(stop)
	return stop
}

// readyz is what the admin address answers.
func readyz(t *testing.T, a *App) (ready bool, reasons map[string]string) {
	t.Helper()
	w := httptest.NewRecorder()
	(&ops.Admin{Health: a.health, Metrics: a.metrics}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var answer struct {
		Ready   bool              `json:"ready"`
		Reasons map[string]string `json:"reasons"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Ready != (w.Code == http.StatusOK) {
		t.Errorf("ready %v with status %d", answer.Ready, w.Code)
	}
	return answer.Ready, answer.Reasons
}

// says waits until every role says that it waits for want, or, with an empty
// want, is ready.
func says(t *testing.T, a *App, want string, roles ...string) {
	t.Helper()
	var reasons map[string]string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var ready bool
		ready, reasons = readyz(t, a)
		all := want != "" || ready
		for _, role := range roles {
			all = all && strings.Contains(reasons[role], want)
		}
		if all {
			return
		}
	}
	t.Fatalf("want %q of %v, /readyz says %q", want, roles, reasons)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
