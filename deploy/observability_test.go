package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pricelake/pricelake/internal/promtest"
)

// The configuration of Prometheus, its rules, what they say and when, by
// Prometheus' own tool.
func TestPrometheusTakesItsFiles(t *testing.T) {
	promtool := promtest.Promtool(t)
	tests, err := filepath.Glob("prometheus/tests/*.yml")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no unit tests of the rules: %v", err)
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus/prometheus.yml"},
		append([]string{"test", "rules"}, tests...),
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// rule is an alert of the rules file.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "prometheus/rules/pricelake.yml", &file)
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Every rule waits, says how bad it is, what to do, and where to read on; and has
// a test in which it fires and one in which it does not.
func TestEveryRuleIsComplete(t *testing.T) {
	fires, rests := tested(t)
	all := rules(t)
	if len(all) != 7 {
		t.Errorf("%d rules, want the seven things worth waking up for", len(all))
	}
	for _, r := range all {
		if r.For == "" || !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s lacks for, severity or summary", r.Alert)
		}
		if !fires[r.Alert] || !rests[r.Alert] {
			t.Errorf("%s fires in a unit test: %v; does not in one: %v", r.Alert, fires[r.Alert], rests[r.Alert])
		}
		page, ours := strings.CutPrefix(r.Annotations["runbook_url"], "https://github.com/pricelake/pricelake/blob/main/")
		text, err := os.ReadFile(filepath.Join("..", page))
		if !ours || err != nil {
			t.Errorf("%s: runbook %q: %v", r.Alert, r.Annotations["runbook_url"], err)
			continue
		}
		for _, heading := range []string{"# " + r.Alert, "## What it means", "## Look here", "## Do this", "## It is over when"} {
			if !strings.Contains(string(text), heading+"\n") {
				t.Errorf("%s has no heading %q", page, heading)
			}
		}
		index, err := os.ReadFile("../docs/runbooks/README.md")
		if err != nil || !strings.Contains(string(index), "("+filepath.Base(page)+")") {
			t.Errorf("docs/runbooks/README.md does not lead to %s: %v", page, err)
		}
	}
}

// tested returns the alerts that have a unit test in which they fire, and those
// that have one in which nothing of the kind does.
func tested(t *testing.T) (fires, rests map[string]bool) {
	t.Helper()
	fires, rests = map[string]bool{}, map[string]bool{}
	files, _ := filepath.Glob("prometheus/tests/*.yml")
	for _, name := range files {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Exp  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			} `yaml:"tests"`
		}
		readYAML(t, name, &file)
		for _, test := range file.Tests {
			quiet := true
			for _, a := range test.Alerts {
				quiet = quiet && len(a.Exp) == 0
				fires[a.Name] = fires[a.Name] || len(a.Exp) > 0
			}
			for _, a := range test.Alerts {
				rests[a.Name] = rests[a.Name] || quiet
			}
		}
	}
	return fires, rests
}

// What Grafana is given fits together: folders, datasource and dashboard.
func TestGrafanaIsProvisioned(t *testing.T) {
	var sources struct {
		Datasources []struct{ Name, UID, Type, URL string } `yaml:"datasources"`
	}
	readYAML(t, "grafana/provisioning/datasources/pricelake.yml", &sources)
	var provider struct {
		Providers []struct {
			Options struct{ Path string } `yaml:"options"`
		} `yaml:"providers"`
	}
	readYAML(t, "grafana/provisioning/dashboards/pricelake.yml", &provider)
	compose, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range provider.Providers {
		if mount := "./deploy/grafana/dashboards:" + p.Options.Path; !strings.Contains(string(compose), mount) {
			t.Errorf("docker-compose.yml does not mount %s", mount)
		}
	}
	text, err := os.ReadFile("grafana/dashboards/pricelake.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title, UID string
		Panels     []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if n := len(dashboard.Panels); dashboard.Title == "" || dashboard.UID == "" || n == 0 || n > 12 {
		t.Errorf("dashboard %q has uid %q and %d panels, want 1 to 12", dashboard.Title, dashboard.UID, n)
	}
	for _, p := range dashboard.Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q lacks a title, a description or a question", p.Title)
		}
	}
	for _, uid := range regexp.MustCompile(`"uid": "(pricelake-[^"]+)"`).FindAllStringSubmatch(string(text), -1) {
		if uid[1] != sources.Datasources[0].UID {
			t.Errorf("the dashboard asks datasource %q, provisioned is %q", uid[1], sources.Datasources[0].UID)
		}
	}
}

// Every metric that the dashboard or a rule asks for is documented, and so exists.
func TestQuestionsAreAboutKnownMetrics(t *testing.T) {
	documented, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grafana/dashboards/pricelake.json", "prometheus/rules/pricelake.yml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range regexp.MustCompile(`pricelake_[a-z_]+`).FindAllString(string(text), -1) {
			family := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(metric, "")
			if !strings.Contains(string(documented), "`"+metric+"`") && !strings.Contains(string(documented), "`"+family+"`") {
				t.Errorf("%s asks for %s, which docs/metrics.md does not know", name, metric)
			}
		}
	}
}

func readYAML(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
