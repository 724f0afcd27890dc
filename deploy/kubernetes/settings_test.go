package kubernetes

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/catalog"
)

// settings: what each process of ours is told is a configuration that it takes:
// every key known, every value possible, every file it names mounted.
func settings(m manifests) []string {
	var f findings
	for _, o := range m.workloads() {
		c := o.container()
		if !c.ours() {
			continue
		}
		cfg := config.Default()
		environ := m.environment(c)
		if err := cfg.ApplyEnv(environ); err != nil {
			f.unless(false, o, "%v", err)
		}
		if err := cfg.Validate(); err != nil {
			f.unless(false, o, "%v", err)
		}
		for _, kv := range environ {
			name, value, _ := strings.Cut(kv, "=")
			file, reference := strings.CutPrefix(value, "file:")
			if strings.HasPrefix(name, "PRICELAKE_") && (reference || strings.HasSuffix(name, "_FILE")) {
				f.unless(c.mounts(file) || strings.HasSuffix(name, "_FILE") && c.mounts(value), o, "%s names %s, where nothing is mounted", name, value)
			}
		}
		f.unless(slices.ContainsFunc(c.Env, func(v variable) bool {
			return v.Name == "PRICELAKE_INSTANCE" && v.ValueFrom != nil && v.ValueFrom.FieldRef.FieldPath == "metadata.name"
		}) || o.Metadata.Name == "simulator", o, "is not named after its pod")
		if slices.Contains(m.roles(), o) {
			f.unless(strings.HasSuffix(cfg.Admin.Addr, ":8090") && !strings.HasPrefix(cfg.Admin.Addr, "127."), o, "serves its probes at %s", cfg.Admin.Addr)
			f.unless(len(o.Spec.VolumeClaimTemplates) == 0 || c.mounts(cfg.DataDir+"/x"), o, "keeps its state in %s, on no volume", cfg.DataDir)
		}
	}
	return f
}

// mounts says that a file is on a volume.
func (c *container) mounts(file string) bool {
	for _, v := range c.VolumeMounts {
		if strings.HasPrefix(file, strings.TrimSuffix(v.MountPath, "/")+"/") {
			return true
		}
	}
	return false
}

// references: what a pod mounts is declared, and comes with the overlay or is a
// Secret, which somebody makes.
func references(m manifests) []string {
	var f findings
	for _, o := range m.workloads() {
		names := map[string]bool{}
		for _, claim := range o.Spec.VolumeClaimTemplates {
			names[claim.Metadata.Name] = true
		}
		for _, v := range o.pod().Volumes {
			names[v.Name] = true
			f.unless(v.ConfigMap == nil || m.find("ConfigMap", v.ConfigMap.Name) != nil, o, "mounts a ConfigMap that is not there")
			f.unless(v.Secret == nil || v.Secret.Name != "", o, "volume %s names no Secret", v.Name)
		}
		for _, c := range o.pod().Containers {
			for _, from := range c.EnvFrom {
				f.unless(m.find("ConfigMap", from.ConfigMapRef.Name) != nil, o, "reads a ConfigMap that is not there")
			}
			for _, v := range c.VolumeMounts {
				f.unless(names[v.Name], o, "mounts the volume %s, which is not declared", v.Name)
			}
			for _, arg := range c.Args {
				f.unless(!path.IsAbs(arg) || c.mounts(arg+"/x") || c.mounts(arg), o, "is told of %s, where nothing is mounted", arg)
			}
		}
	}
	return f
}

// noInlineSecrets: a password is in a Secret and nowhere else.
func noInlineSecrets(m manifests) []string {
	var f findings
	inline := func(o *object, name, value string) {
		secret := regexp.MustCompile(`(PASSWORD|TOKEN|SECRET|KEY)$`).MatchString(name)
		f.unless(!secret || value == "" || strings.HasPrefix(value, "file:") || strings.HasPrefix(value, "env:"), o, "%s is written inline", name)
	}
	for _, o := range m.of("ConfigMap") {
		for name, value := range o.Data {
			inline(o, name, value)
		}
	}
	for _, o := range m.workloads() {
		for _, v := range o.container().Env {
			inline(o, v.Name, v.Value)
		}
	}
	return f
}

// secrets lists the Secrets that the pods of an overlay ask for.
func (m manifests) secrets() []string {
	var names []string
	for _, o := range m.workloads() {
		for _, v := range o.pod().Volumes {
			if v.Secret != nil {
				names = append(names, v.Secret.Name)
			}
		}
		for _, v := range o.container().Env {
			if v.ValueFrom != nil && v.ValueFrom.SecretKeyRef != nil {
				names = append(names, v.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// testSecrets of production: none is rendered, and those that have to be made are
// in the documentation.
func testSecrets(t *testing.T, m manifests) {
	if inside := m.of("Secret"); len(inside) > 0 {
		t.Errorf("the overlay comes with %v", inside)
	}
	doc, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.secrets()) < 10 {
		t.Errorf("only %q are asked for", m.secrets())
	}
	for _, name := range m.secrets() {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/kubernetes.md does not say what is in the Secret %s", name)
		}
	}
}

// TestCatalogs: the files can be applied; the demo's is the shipped one, asked of
// the service simulator.
func TestCatalogs(t *testing.T) {
	if _, err := catalog.Load("overlays/production/catalog.yaml"); err != nil {
		t.Error(err)
	}
	got, err := catalog.Load("overlays/demo/catalog.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := catalog.Demo("http://simulator:8099")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Calls) != len(want.Calls) {
		t.Fatalf("%d calls, and the shipped demo has %d", len(got.Calls), len(want.Calls))
	}
	for i := range got.Calls {
		if got.Calls[i].CallID != want.Calls[i].CallID || got.Calls[i].Version != want.Calls[i].Version {
			t.Errorf("call %s differs from the shipped demo's %s: make overlays/demo/catalog.yaml anew from it", got.Calls[i].CallID, want.Calls[i].CallID)
		}
	}
}

// TestDemoPasswordsStayOut: the folder in which they are made is not committed.
func TestDemoPasswordsStayOut(t *testing.T) {
	ignored, err := os.ReadFile("overlays/demo/.gitignore")
	if err != nil || !strings.Contains(string(ignored), "/secrets/") {
		t.Errorf("overlays/demo/.gitignore does not name /secrets/: %q %v", ignored, err)
	}
}
