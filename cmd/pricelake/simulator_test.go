package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/servers"
)

// TestSimulatorAsAServer runs it as the compose file does: under a name, with its
// health asked by `healthcheck`, and a value restated that survives a restart.
func TestSimulatorAsAServer(t *testing.T) {
	addr, admin, dir := servers.FreeAddr(t), servers.FreeAddr(t), filepath.Join(t.TempDir(), "new")
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, []string{"simulator", "--addr", addr, "--host", "simulator", "--seed", "7", "--trouble=false"},
				[]string{"PRICELAKE_ADMIN_ADDR=" + admin, "PRICELAKE_DATA_DIR=" + dir}, strings.NewReader(""), io.Discard, io.Discard)
		}()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if askHealth(ctx, admin, false) == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the simulator does not become ready")
			}
		}
		return func() {
			t.Helper()
			cancel()
			if code := <-ended; code != exitOK {
				t.Errorf("exit %d", code)
			}
		}
	}
	ask := func(method, path, host, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(said)
	}

	stop := start()
	if code, said := ask(http.MethodGet, "/kraken/0/public/Ticker?pair=XBTUSD", "simulator:8099", ""); code != 200 || !strings.Contains(said, "XXBTZUSD") {
		t.Errorf("by its name: %d %s", code, said)
	}
	if code, _ := ask(http.MethodGet, "/healthz", "evil.example", ""); code != 403 {
		t.Errorf("by a foreign name: %d, want 403", code)
	}
	if code, said := ask(http.MethodPost, "/control", "simulator", `{"restate":[{"provider":"ecb","symbol":"USD","value":"1.9999"}]}`); code != 200 {
		t.Fatalf("restating: %d %s", code, said)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, "simulator.json")); err != nil {
		t.Error(err)
	}
	stop = start()
	defer stop()
	if _, said := ask(http.MethodGet, "/ecb/stats/eurofxref/eurofxref-daily.xml", "127.0.0.1", ""); !strings.Contains(said, "1.9999") {
		t.Errorf("the restated value was taken back: %s", said)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestCatalogsByName(t *testing.T) {
	own := filepath.Join("..", "..", "deploy", "compose", "catalog", "example.yaml")
	f := func(wantCode int, want string, args ...string) {
		t.Helper()
		code, out, stderr := invoke(t, "", args...)
		if code != wantCode || !strings.Contains(out+stderr, want) {
			t.Errorf("%v: exit %d, want %d; said %q, want it to contain %q", args, code, wantCode, out+stderr, want)
		}
	}
	f(exitOK, "demo-always-fails", "catalog", "ls", "demo")
	f(exitOK, "http://simulator:8099/kraken/0/public/Ticker", "catalog", "ls", "demo", "--simulator", "http://simulator:8099/")
	f(exitOK, "valid", "catalog", "validate", "shipped", own)
	f(exitOK, "valid", "catalog", "validate", "demo", own)
	f(exitCheck, "reading the file", "catalog", "validate", "./demo")
	f(exitFailed, "start `pricelake simulator`", "catalog", "apply", "demo", "--simulator", "http://127.0.0.1:1", "--config", emptyConfig(t))
}

// emptyConfig names the default servers, which are not asked.
func emptyConfig(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pricelake.yaml")
	if err := os.WriteFile(name, []byte("log: {level: info}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
