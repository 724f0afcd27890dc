// Package kubernetes holds the rules that the manifests beside it keep, as tests
// that need no cluster. What an API server says to them is for .ci/kubernetes.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// kustomize renders as `kubectl apply -k` does. It is run, not imported: its
// twenty modules stay out of the product's go.mod, and this is the tool that
// people use. The Go tool fetches, checks and builds it once.
const kustomize = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"

// prepare copies the folder deploy to where the demo can have its passwords.
func prepare(t *testing.T) (overlays string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	overlays = filepath.Join(dir, "kubernetes", "overlays")
	secrets := filepath.Join(overlays, "demo", "secrets")
	if err := os.RemoveAll(secrets); err != nil {
		t.Fatal(err)
	}
	made := exec.CommandContext(t.Context(), filepath.Join(dir, "clickhouse", "passwords.sh"), secrets)
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("making the demo's passwords: %v\n%s", err, out)
	}
	return overlays
}

// build renders one folder. Without kustomize the test ends: skipped on a
// developer's machine, failed in CI.
func build(t *testing.T, dir string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", kustomize, "build", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		return out
	}
	if strings.Contains(stderr.String(), "Error:") || os.Getenv("CI") == "true" { // of kustomize, not of the Go tool
		t.Fatalf("rendering %s: %v\n%s", dir, err, &stderr)
	}
	t.Skipf("kustomize cannot be had here, so the manifests are not checked: %v\n%s", err, &stderr)
	return nil
}

// object is one rendered object, as far as the rules look at it.
type object struct {
	Kind     string
	Metadata struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	Spec                         spec
	Data                         map[string]string
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
}

// spec has the fields of every kind that is here; each kind fills its own.
type spec struct {
	Selector selector
	Template struct {
		Metadata struct{ Labels, Annotations map[string]string }
		Spec     pod
	}
	VolumeClaimTemplates []struct {
		Metadata struct{ Name string }
	} `yaml:"volumeClaimTemplates"`
	ServiceName             string `yaml:"serviceName"`
	BackoffLimit            int    `yaml:"backoffLimit"`
	TTLSecondsAfterFinished *int   `yaml:"ttlSecondsAfterFinished"`
	// of a PodDisruptionBudget
	MaxUnavailable any `yaml:"maxUnavailable"`
	// of a NetworkPolicy
	PodSelector     selector `yaml:"podSelector"`
	PolicyTypes     []string `yaml:"policyTypes"`
	Ingress, Egress []networkRule
	// of a Service
	Ports []struct {
		Name       string
		Port       int
		TargetPort any `yaml:"targetPort"`
	}
}

// selector is a label selector; that of a Service is the labels themselves.
type selector struct {
	MatchLabels map[string]string
	given       bool
}

func (s *selector) UnmarshalYAML(node *yaml.Node) error {
	s.given = true
	var m map[string]yaml.Node
	if err := node.Decode(&m); err != nil {
		return err
	}
	if labels, ok := m["matchLabels"]; ok {
		return labels.Decode(&s.MatchLabels)
	}
	return node.Decode(&s.MatchLabels)
}

// selects says that every label asked for is among those given.
func (s selector) selects(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

type pod struct {
	ServiceAccountName           string `yaml:"serviceAccountName"`
	AutomountServiceAccountToken *bool  `yaml:"automountServiceAccountToken"`
	EnableServiceLinks           *bool  `yaml:"enableServiceLinks"`
	TerminationGracePeriod       int    `yaml:"terminationGracePeriodSeconds"`
	RestartPolicy                string `yaml:"restartPolicy"`
	HostNetwork                  bool   `yaml:"hostNetwork"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	Volumes        []volume
	TopologySpread []struct {
		TopologyKey       string `yaml:"topologyKey"`
		WhenUnsatisfiable string `yaml:"whenUnsatisfiable"`
	} `yaml:"topologySpreadConstraints"`
}

type volume struct {
	Name   string
	Secret *struct {
		Name string `yaml:"secretName"`
	}
	ConfigMap *struct{ Name string } `yaml:"configMap"`
	EmptyDir  *struct {
		SizeLimit string `yaml:"sizeLimit"`
	} `yaml:"emptyDir"`
	HostPath *struct{ Path string } `yaml:"hostPath"`
}

type container struct {
	Name, Image     string
	ImagePullPolicy string `yaml:"imagePullPolicy"`
	Args            []string
	EnvFrom         []struct {
		ConfigMapRef struct{ Name string } `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env   []variable
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe    *probe `yaml:"startupProbe"`
	LivenessProbe   *probe `yaml:"livenessProbe"`
	ReadinessProbe  *probe `yaml:"readinessProbe"`
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		Privileged               bool
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Add, Drop []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		SubPath   string `yaml:"subPath"`
	} `yaml:"volumeMounts"`
}

type variable struct {
	Name, Value string
	ValueFrom   *struct {
		FieldRef *struct {
			FieldPath string `yaml:"fieldPath"`
		} `yaml:"fieldRef"`
		SecretKeyRef *struct{ Name, Key string } `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

type probe struct {
	HTTPGet          *struct{ Path, Port string } `yaml:"httpGet"`
	TCPSocket        *struct{ Port string }       `yaml:"tcpSocket"`
	TimeoutSeconds   int                          `yaml:"timeoutSeconds"`
	PeriodSeconds    int                          `yaml:"periodSeconds"`
	FailureThreshold int                          `yaml:"failureThreshold"`
}

// manifests are the objects of one overlay.
type manifests []*object

func parse(t *testing.T, rendered []byte) manifests {
	t.Helper()
	var all manifests
	for d := yaml.NewDecoder(bytes.NewReader(rendered)); ; {
		o := new(object)
		err := d.Decode(o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("reading what kustomize printed: %v", err)
		}
		all = append(all, o)
	}
}

func (m manifests) of(kinds ...string) manifests {
	var out manifests
	for _, o := range m {
		if slices.Contains(kinds, o.Kind) {
			out = append(out, o)
		}
	}
	return out
}

func (m manifests) find(kind, name string) *object {
	for _, o := range m.of(kind) {
		if o.Metadata.Name == name {
			return o
		}
	}
	return nil
}

// workloads are the objects that make pods.
func (m manifests) workloads() manifests { return m.of("Deployment", "StatefulSet", "Job") }

// roles are the workloads that run a role of pricelake.
func (m manifests) roles() manifests {
	var out manifests
	for _, o := range m.of("Deployment", "StatefulSet") {
		if o.Metadata.Labels["app.kubernetes.io/name"] == "pricelake" {
			out = append(out, o)
		}
	}
	return out
}

func (o *object) pod() *pod { return &o.Spec.Template.Spec }

// container is the one container of a pod.
func (o *object) container() *container { return &o.pod().Containers[0] }

func (o *object) labels() map[string]string { return o.Spec.Template.Metadata.Labels }

func (o *object) String() string { return o.Kind + " " + o.Metadata.Name }

// ours says that the container runs pricelake's image.
func (c *container) ours() bool {
	name, _, _ := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
	return name == "pricelake"
}

// environment is what the container's process sees, in the form of os.Environ.
func (m manifests) environment(c *container) []string {
	all := map[string]string{}
	for _, from := range c.EnvFrom {
		if settings := m.find("ConfigMap", from.ConfigMapRef.Name); settings != nil {
			maps.Copy(all, settings.Data)
		}
	}
	for _, v := range c.Env {
		all[v.Name] = v.Value
		if v.ValueFrom != nil {
			all[v.Name] = "given-by-the-cluster"
		}
	}
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		environ = append(environ, name+"="+all[name])
	}
	return environ
}
