package lake

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

// python is a Python with clickhouse-connect, as .ci/python makes it.
func python(t *testing.T) string {
	t.Helper()
	path := os.Getenv("PRICELAKE_TEST_PYTHON")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "pricelake", "python", "bin", "python")
	}
	if out, err := exec.Command(path, "-c", "import clickhouse_connect").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Python with clickhouse-connect (run .ci/python): %v %s", err, out)
		}
		t.Skip("no Python with clickhouse-connect; .ci/python makes one")
	}
	return path
}

// The Python of docs/sql.md prints what stands below it.
func TestPythonCookbook(t *testing.T) {
	t.Parallel()
	path := python(t)
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```python\n(.*?)```\n```text\n(.*?)```").FindStringSubmatch(string(text))
	if m == nil || strings.Count(string(text), "```python") != 1 {
		t.Fatal("want one piece of Python in docs/sql.md, and what it prints below it")
	}
	l := openLake(t)
	fill(t, l)
	ch := embedtest.ClickHouse(t)
	at, err := url.Parse(ch.HTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "-c", m[1])
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "CLICKHOUSE_HOST="+at.Hostname(), "CLICKHOUSE_HTTP_PORT="+at.Port(), "CLICKHOUSE_DATABASE="+l.config.Database,
		"CLICKHOUSE_USER="+ch.Owner().User, "CLICKHOUSE_PASSWORD="+ch.Owner().Password)
	out, err := cmd.Output()
	if err != nil || string(out) != m[2] {
		t.Errorf("printed\n%s(%v %s)\nwant\n%s", out, err, stderr.String(), m[2])
	}
}
