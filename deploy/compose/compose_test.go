// Package compose holds what docker-compose.yml is made of, and these tests of
// its rules. They need no Docker; the trial with Docker is the script smoke.
package compose

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
)

func TestEveryServiceIsThere(t *testing.T) {
	p := load(t)
	for _, name := range []string{"kafka", "registry", "clickhouse", "prometheus", "grafana", "simulator",
		"secrets", "topics", "schemas", "migrations", "catalog"} {
		if _, ok := p.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for _, role := range app.RoleNames() {
		s, ok := p.Services[role]
		if !ok || !slices.Equal(s.Command, []string{"run", role}) {
			t.Errorf("role %s: its service runs %v", role, s.Command)
		}
		if len(s.Profiles) > 0 {
			t.Errorf("role %s runs only with a profile", role)
		}
	}
	for name, profile := range map[string]string{"simulator": "demo", "prometheus": "observability", "grafana": "observability"} {
		if !slices.Contains(p.Services[name].Profiles, profile) {
			t.Errorf("%s is not in the profile %s", name, profile)
		}
	}
	built := 0
	for _, s := range p.Services {
		if s.Build != nil {
			built++
		}
	}
	if built != 1 {
		t.Errorf("%d services build the image, want one: the others share it", built)
	}
}

func TestImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z.]+/[a-z/-]+:v?[0-9]+\.[0-9]+(\.[0-9]+)?$`)
	for name, s := range load(t).Services {
		if !s.ours() && !pinned.MatchString(s.Image) {
			t.Errorf("%s: %q names no version", name, s.Image)
		}
	}
}

func TestPortsAreOfThisMachineOnly(t *testing.T) {
	published := 0
	for name, s := range load(t).Services {
		for _, port := range s.Ports {
			published++
			if !regexp.MustCompile(`^127\.0\.0\.1:\$\{[A-Z_]+_PORT:-[0-9]+\}:[0-9]+$`).MatchString(port) {
				t.Errorf("%s publishes %q: write 127.0.0.1:${X_PORT:-n}:n", name, port)
			}
		}
		if s.NetworkMode == "host" || s.Privileged || s.ContainerName != "" {
			t.Errorf("%s: host network, privileged, or a name that forbids a second project", name)
		}
	}
	if published < 7 {
		t.Errorf("only %d ports", published)
	}
}

func TestHealth(t *testing.T) {
	p := load(t)
	for name, s := range p.Services {
		h := s.Healthcheck
		switch {
		case h == nil:
			t.Errorf("%s has no health check", name)
		case s.job():
			if !h.Disable {
				t.Errorf("%s ends by itself: disable its health check", name)
			}
		case len(h.Test) < 2 || h.Test[0] != "CMD":
			t.Errorf("%s: health check %v, want CMD and its words", name, h.Test)
		case h.Interval == 0 || h.Interval > 5*time.Second || h.Timeout == 0 || h.StartPeriod < 30*time.Second:
			t.Errorf("%s: the first check comes one interval after the start; intervals are short, start periods long: %+v", name, *h)
		case s.ours() && !slices.Equal(h.Test[1:], []string{"/usr/local/bin/pricelake", "healthcheck"}):
			t.Errorf("%s: there is no shell, ask `pricelake healthcheck`: %v", name, h.Test)
		}
	}
}

// TestOrder checks what `up --wait` needs: it would wait for ever for a job that
// nobody waits for, and a service without health check is healthy at once.
func TestOrder(t *testing.T) {
	p := load(t)
	awaited := map[string]bool{}
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			other, ok := p.Services[on]
			want := "service_healthy"
			if other.job() {
				want = "service_completed_successfully"
				awaited[on] = true
			}
			if !ok || d.Condition != want {
				t.Errorf("%s depends on %s with %s, want %s", name, on, d.Condition, want)
			}
			optional := d.Required != nil && !*d.Required
			if missing := len(other.Profiles) > 0 && !slices.Equal(other.Profiles, s.Profiles); missing && !optional {
				t.Errorf("%s needs %s, which is not there without its profile", name, on)
			}
		}
	}
	for name, s := range p.Services {
		if s.job() && len(s.Profiles) == 0 && !awaited[name] {
			t.Errorf("nobody waits for the job %s", name)
		}
	}
}

func TestWhatRunsPricelakeIsConfined(t *testing.T) {
	p := load(t)
	ours := 0
	for name, s := range p.Services {
		limits := s.Deploy.Resources.Limits
		if limits.Memory == "" || s.ours() && (limits.CPUs == "" || limits.Pids == "") {
			t.Errorf("%s has no limits: %+v", name, limits)
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may gain privileges", name)
		}
		if !s.job() && (s.Restart != "unless-stopped" || s.StopGrace < 30*time.Second) {
			t.Errorf("%s: restart %q, stop_grace_period %s", name, s.Restart, s.StopGrace)
		}
		if !s.ours() {
			continue
		}
		ours++
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !regexp.MustCompile(`^[1-9][0-9]{4,}:[1-9][0-9]{4,}$`).MatchString(s.User) {
			t.Errorf("%s: read_only %v, cap_drop %v, user %q", name, s.ReadOnly, s.CapDrop, s.User)
		}
	}
	if ours < len(app.RoleNames())+5 {
		t.Errorf("only %d services run pricelake", ours)
	}
}

func TestNoPasswordIsWrittenHere(t *testing.T) {
	secretive := regexp.MustCompile(`(?i)passw|secret|token|_key$`)
	for name, s := range load(t).Services {
		for key, value := range s.Environment {
			byReference := strings.HasPrefix(value, "file:/run/secrets/")
			byFile := strings.HasSuffix(key, "_FILE") && strings.HasPrefix(value, "/run/secrets/")
			if secretive.MatchString(key) && !byReference && !byFile {
				t.Errorf("%s: %s is %q, want a file under /run/secrets", name, key, value)
			}
		}
	}
	for _, file := range []string{".env", ".env.example"} {
		for key := range assignments(t, file) {
			if secretive.MatchString(key) {
				t.Errorf("%s has %s", file, key)
			}
		}
	}
}

// TestEachSecretHasItsReader: a container that is given a password must be the
// one that secrets.sh gives the file to.
func TestEachSecretHasItsReader(t *testing.T) {
	script := read(t, "deploy/compose/secrets.sh")
	owners := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^  own ([0-9]+) (.*)$`).FindAllStringSubmatch(script, -1) {
		for account := range strings.FieldsSeq(m[2]) {
			owners["/run/secrets/"+account+".password"] = m[1]
		}
	}
	used := 0
	for name, s := range load(t).Services {
		for key, value := range s.Environment {
			path := strings.TrimPrefix(value, "file:")
			if !strings.HasPrefix(path, "/run/secrets/") {
				continue
			}
			used++
			uid, _, _ := strings.Cut(s.User, ":")
			if name == "grafana" {
				uid = "472" // the image's own
			}
			if owners[path] != uid {
				t.Errorf("%s runs as %s, %s %s belongs to %q", name, uid, key, path, owners[path])
			}
			if !slices.Contains(s.Volumes, "secrets:/run/secrets:ro") {
				t.Errorf("%s does not mount the secrets", name)
			}
		}
	}
	if used < 5 {
		t.Errorf("only %d passwords are used", used)
	}
}

func TestSettingsAreSettings(t *testing.T) {
	defaults := variables(t)
	for name, s := range load(t).Services {
		if !s.ours() {
			continue
		}
		var environ []string
		for key, value := range s.Environment {
			environ = append(environ, key+"="+interpolate(value, defaults))
		}
		cfg := config.Default()
		if err := cfg.ApplyEnv(environ); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVariablesAreExplained(t *testing.T) {
	example, used := assignments(t, ".env.example"), variables(t)
	used["COMPOSE_PROFILES"] = "demo"
	if !maps.Equal(example, used) {
		for key := range used {
			if example[key] != used[key] {
				t.Errorf("%s: %q in docker-compose.yml, %q in .env.example", key, used[key], example[key])
			}
		}
		for key := range example {
			if _, ok := used[key]; !ok {
				t.Errorf("%s is in .env.example only", key)
			}
		}
	}
	for key := range example {
		if strings.HasPrefix(key, "PRICELAKE_") {
			t.Errorf("%s: the program reads variables of this prefix itself and refuses unknown ones", key)
		}
	}
	if env := assignments(t, ".env"); !maps.Equal(env, map[string]string{"COMPOSE_PROFILES": "demo"}) {
		t.Errorf(".env is %v: a fresh clone starts the demo and changes nothing else", env)
	}
}

func TestMountsExist(t *testing.T) {
	p := load(t)
	defaults := variables(t)
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(interpolate(v, defaults), ":")
			if !strings.HasPrefix(source, ".") {
				if _, ok := p.Volumes[source]; !ok {
					t.Errorf("%s: the volume %q is not declared", name, source)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join("..", "..", source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s may write into %s", name, source)
			}
		}
	}
}

func TestDockerfile(t *testing.T) {
	file := read(t, "deploy/Dockerfile")
	if strings.HasPrefix(file, "# syntax") {
		t.Error("a syntax line fetches a frontend from a registry: the built-in one suffices")
	}
	gomod := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindStringSubmatch(read(t, "go.mod"))
	for _, want := range []string{"golang:" + gomod[1] + "-bookworm", "gcr.io/distroless/static-debian12:nonroot", "CGO_ENABLED=0",
		"-tags noembed", "-trimpath", "-s -w", "\nUSER 65532:65532\n", `CMD ["/usr/local/bin/pricelake", "healthcheck"]`, "org.opencontainers.image.source"} {
		if !strings.Contains(file, want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestTheBuildSeesEveryPackage: .dockerignore names what goes in.
func TestTheBuildSeesEveryPackage(t *testing.T) {
	const module = "github.com/pricelake/pricelake/"
	cmd := exec.Command("go", "list", "-deps", "-tags", "noembed", "-f", "{{.ImportPath}}", "./cmd/pricelake")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	ignore := read(t, ".dockerignore")
	for line := range strings.Lines(string(out)) {
		if inner, ok := strings.CutPrefix(strings.TrimSpace(line), module); ok {
			if top, _, _ := strings.Cut(inner, "/"); !strings.Contains(ignore, "\n!"+top+"\n") {
				t.Errorf("%s is not in the build context", inner)
			}
		}
	}
}
