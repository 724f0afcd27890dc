package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// project is docker-compose.yml as far as the rules of this package look at it.
type project struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image         string
	Build         *struct{ Dockerfile string }
	Profiles      []string
	Entrypoint    []string
	Command       command
	Environment   map[string]string
	Ports         []string
	Volumes       []string
	User          string
	Restart       string
	ReadOnly      bool          `yaml:"read_only"`
	CapDrop       []string      `yaml:"cap_drop"`
	SecurityOpt   []string      `yaml:"security_opt"`
	StopGrace     time.Duration `yaml:"stop_grace_period"`
	ContainerName string        `yaml:"container_name"`
	Privileged    bool
	NetworkMode   string `yaml:"network_mode"`
	Healthcheck   *healthcheck
	DependsOn     map[string]struct {
		Condition string
		Required  *bool
	} `yaml:"depends_on"`
	Deploy struct {
		Resources struct {
			Limits struct{ CPUs, Memory, Pids string }
		}
	}
}

type healthcheck struct {
	Disable     bool
	Test        []string
	Interval    time.Duration
	Timeout     time.Duration
	StartPeriod time.Duration `yaml:"start_period"`
}

// command is a list, or a text that compose splits at blanks.
type command []string

func (c *command) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*c = strings.Fields(node.Value)
		return nil
	}
	return node.Decode((*[]string)(c))
}

// job says that a service ends when its work is done.
func (s *service) job() bool { return s.Restart == "no" || strings.HasPrefix(s.Restart, "on-failure") }

// ours says that a service runs pricelake.
func (s *service) ours() bool { return strings.HasPrefix(s.Image, "${LAKE_IMAGE") }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func load(t *testing.T) project {
	t.Helper()
	var p project
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Services) < 15 {
		t.Fatalf("only %d services", len(p.Services))
	}
	return p
}

// variable is one ${NAME:-default} or ${NAME:+…}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::-([^${}]*))?`)

// variables returns the variables of the compose file with their defaults.
func variables(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, m := range variable.FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		if old, ok := found[m[1]]; ok && m[2] != "" && old != "" && old != m[2] {
			t.Errorf("%s has two defaults: %q and %q", m[1], old, m[2])
		}
		if m[2] != "" || found[m[1]] == "" {
			found[m[1]] = m[2]
		}
	}
	return found
}

// assignments reads NAME=VALUE lines.
func assignments(t *testing.T, name string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for line := range strings.Lines(read(t, name)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if _, twice := found[key]; !ok || twice {
			t.Errorf("%s: %q is no assignment, or a second one", name, line)
		}
		found[key] = value
	}
	return found
}

// interpolate replaces every variable with its default.
func interpolate(text string, defaults map[string]string) string {
	return regexp.MustCompile(`\$\{([A-Z_]+)(:[^{}]*)?\}`).ReplaceAllStringFunc(text, func(m string) string {
		name := variable.FindStringSubmatch(m)[1]
		if strings.Contains(m, ":+") {
			return ""
		}
		return defaults[name]
	})
}
