package embed_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

var quiet = slog.New(slog.DiscardHandler)

// await waits until ok holds, for ten seconds at most.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tryAsk runs one statement over HTTP.
func tryAsk(ctx context.Context, url string, as embed.Credentials, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	if as.User != "" {
		req.Header.Set("X-ClickHouse-User", as.User)
		req.Header.Set("X-ClickHouse-Key", as.Password)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, bytes.TrimSpace(body))
	}
	return strings.TrimSpace(string(body)), err
}

func ask(t *testing.T, url string, as embed.Credentials, sql string) string {
	t.Helper()
	answer, err := tryAsk(t.Context(), url, as, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

// startEngine starts an engine of this test's own.
func startEngine(t *testing.T, dir string, change func(*embed.ClickHouseConfig)) *embed.ClickHouse {
	t.Helper()
	engine, child, err := embedtest.Engine(t.Context())
	if err != nil {
		embedtest.Missing(t, err)
	}
	cfg := embed.ClickHouseConfig{DataDir: dir, Engine: engine, ChildCommand: child, Addresses: addresses(t, dir), Logger: quiet}
	if change != nil {
		change(&cfg)
	}
	ch, err := embed.StartClickHouse(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ch.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return ch
}
