package kubernetes

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pricelake/pricelake/internal/app"
)

// rule finds what is wrong with the manifests of one overlay, one finding a line.
type rule func(m manifests) []string

func rules() map[string]rule {
	return map[string]rule{
		"restricted":   restricted,
		"accounts":     accounts,
		"images":       images,
		"resources":    resources,
		"probes":       probes,
		"life":         life,
		"roles":        oneWorkloadARole,
		"disruption":   disruption,
		"references":   references,
		"settings":     settings,
		"network":      network,
		"noInlineKeys": noInlineSecrets,
	}
}

// findings collects what a rule finds.
type findings []string

func (f *findings) unless(ok bool, o fmt.Stringer, text string, args ...any) {
	if !ok {
		*f = append(*f, o.String()+": "+fmt.Sprintf(text, args...))
	}
}

// restricted is Pod Security "restricted" and, beyond it, a root that is
// read-only.
func restricted(m manifests) []string {
	var f findings
	namespace := m.find("Namespace", "pricelake")
	if namespace == nil {
		return []string{"no namespace pricelake"}
	}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		f.unless(namespace.Metadata.Labels["pod-security.kubernetes.io/"+mode] == "restricted", namespace, "%s is not restricted", mode)
	}
	for _, o := range m.workloads() {
		p := o.pod()
		f.unless(p.SecurityContext.RunAsNonRoot && p.SecurityContext.RunAsUser > 0, o, "may run as root")
		f.unless(p.SecurityContext.SeccompProfile.Type == "RuntimeDefault", o, "no seccomp profile")
		f.unless(!p.HostNetwork, o, "uses the node's network")
		for _, v := range p.Volumes {
			f.unless(v.HostPath == nil, o, "mounts %s of the node", v.Name)
			f.unless(v.EmptyDir == nil || v.EmptyDir.SizeLimit != "", o, "volume %s has no bound", v.Name)
		}
		for _, c := range slices.Concat(p.InitContainers, p.Containers) {
			s := c.SecurityContext
			f.unless(!s.Privileged && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation, o, "may gain privileges")
			f.unless(s.ReadOnlyRootFilesystem, o, "may write to its root")
			f.unless(slices.Equal(s.Capabilities.Drop, []string{"ALL"}) && len(s.Capabilities.Add) == 0, o, "keeps capabilities")
		}
	}
	return f
}

// accounts: every workload has an account of its own kind, and no token of it.
func accounts(m manifests) []string {
	var f findings
	for _, o := range m.workloads() {
		p := o.pod()
		f.unless(p.AutomountServiceAccountToken != nil && !*p.AutomountServiceAccountToken, o, "mounts a token of the cluster")
		// KAFKA_PORT=tcp://… of a service would be read as a setting.
		f.unless(p.EnableServiceLinks != nil && !*p.EnableServiceLinks, o, "gets variables of neighbouring services")
		account := m.find("ServiceAccount", p.ServiceAccountName)
		f.unless(account != nil, o, "its service account %q is not there", p.ServiceAccountName)
		if account != nil {
			f.unless(account.AutomountServiceAccountToken != nil && !*account.AutomountServiceAccountToken, account, "mounts tokens")
		}
	}
	return f
}

var pinned = regexp.MustCompile(`^[^:@]+(:\d+/[^:@]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$`)

func images(m manifests) []string {
	var f findings
	ours := ""
	for _, o := range m.workloads() {
		for _, c := range slices.Concat(o.pod().InitContainers, o.pod().Containers) {
			f.unless(pinned.MatchString(c.Image) && !strings.HasSuffix(c.Image, ":latest"), o, "image %q is not pinned", c.Image)
			f.unless(c.ImagePullPolicy == "IfNotPresent", o, "pulls %s", c.ImagePullPolicy)
			if c.ours() {
				f.unless(ours == "" || ours == c.Image, o, "runs %s beside %s", c.Image, ours)
				ours = c.Image
			}
		}
	}
	return f
}

func resources(m manifests) []string {
	var f findings
	for _, o := range m.workloads() {
		for _, c := range slices.Concat(o.pod().InitContainers, o.pod().Containers) {
			for _, what := range []string{"cpu", "memory"} {
				f.unless(c.Resources.Requests[what] != "", o, "requests no %s", what)
				f.unless(c.Resources.Limits[what] != "", o, "no limit of %s", what)
			}
			f.unless(size(c.Resources.Requests["memory"]) <= size(c.Resources.Limits["memory"]), o, "requests more memory than its limit")
			if !c.ours() {
				continue
			}
			soft := 0
			for _, v := range c.Env {
				if v.Name == "GOMEMLIMIT" {
					soft = size(strings.TrimSuffix(v.Value, "B"))
				}
			}
			limit := size(c.Resources.Limits["memory"])
			f.unless(soft*100 >= limit*80 && soft*100 <= limit*95, o, "GOMEMLIMIT is not between 80 and 95 %% of its memory limit")
		}
	}
	return f
}

// size reads a quantity with a binary suffix, 0 when it is none.
func size(quantity string) int {
	for suffix, factor := range map[string]int{"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30} {
		if digits, ok := strings.CutSuffix(quantity, suffix); ok {
			n, _ := strconv.Atoi(digits)
			return n * factor
		}
	}
	return 0
}

// probes: whatever runs for long says that it has started, lives and is ready,
// at a port that it has.
func probes(m manifests) []string {
	var f findings
	for _, o := range m.of("Deployment", "StatefulSet") {
		c := o.container()
		for name, p := range map[string]*probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			if p == nil || p.HTTPGet == nil && p.TCPSocket == nil {
				f.unless(false, o, "no %s probe", name)
				continue
			}
			port, path := "", ""
			if p.HTTPGet != nil {
				port, path = p.HTTPGet.Port, p.HTTPGet.Path
			} else {
				port = p.TCPSocket.Port
			}
			named := false
			for _, at := range c.Ports {
				named = named || at.Name == port
			}
			f.unless(named, o, "the %s probe asks at port %q, which is none of its own", name, port)
			if !c.ours() {
				continue
			}
			want := "/livez"
			if name == "readiness" {
				want = "/readyz"
				f.unless(p.TimeoutSeconds > 2, o, "a check may take 2 s, and its probe waits %d s", p.TimeoutSeconds)
			}
			f.unless(path == want, o, "the %s probe asks for %s", name, path)
		}
	}
	return f
}

// life: roles have the time to end, jobs repeat and leave.
func life(m manifests) []string {
	var f findings
	for _, o := range m.roles() {
		p := o.pod()
		f.unless(p.TerminationGracePeriod == 30, o, "has %d s to end, and needs up to 25", p.TerminationGracePeriod)
		var spread []string
		for _, s := range p.TopologySpread {
			spread = append(spread, s.TopologyKey)
			f.unless(s.WhenUnsatisfiable == "ScheduleAnyway", o, "cannot run on one node")
		}
		f.unless(slices.Equal(spread, []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"}), o, "spreads over %q", spread)
		f.unless(o.Spec.Template.Metadata.Annotations["prometheus.io/scrape"] == "true", o, "hides its metrics")
	}
	for _, o := range m.of("Job") {
		f.unless(o.pod().RestartPolicy == "Never" && o.Spec.BackoffLimit > 0, o, "does not try again with a new pod, which keeps the log of the old")
		f.unless(o.Spec.TTLSecondsAfterFinished != nil, o, "stays for ever, and cannot be applied again when it changed")
		f.unless(slices.Contains(o.container().Args, "--wait"), o, "does not wait for its server")
		f.unless(o.Metadata.Labels["app.kubernetes.io/component"] == "set-up", o, "is not found by the label that deletes set-up jobs")
	}
	return f
}

// oneWorkloadARole: the roles of the binary are the workloads, no more and no
// less; the one that keeps state is a StatefulSet with a volume for it.
func oneWorkloadARole(m manifests) []string {
	var f findings
	var running []string
	for _, o := range m.roles() {
		args := o.container().Args
		f.unless(slices.Equal(args, []string{"run", o.Metadata.Name}), o, "runs %q", args)
		f.unless(o.Metadata.Labels["app.kubernetes.io/component"] == o.Metadata.Name, o, "has the component of another")
		running = append(running, o.Metadata.Name)
		stateful := o.Metadata.Name == "deduplicator"
		f.unless(stateful == (o.Kind == "StatefulSet"), o, "is of the wrong kind")
		f.unless(stateful == (len(o.Spec.VolumeClaimTemplates) == 1), o, "has %d volumes", len(o.Spec.VolumeClaimTemplates))
	}
	want := app.RoleNames()
	slices.Sort(want)
	slices.Sort(running)
	if !slices.Equal(running, want) {
		f = append(f, fmt.Sprintf("workloads run %q, the roles are %q", running, want))
	}
	return f
}

// disruption: a budget for each role, that selects its pods and no others.
func disruption(m manifests) []string {
	var f findings
	for _, o := range m.workloads() {
		f.unless(o.Kind == "Job" || o.Spec.Selector.selects(o.labels()), o, "does not select its own pods")
		var budgets []string
		for _, b := range m.of("PodDisruptionBudget") {
			if b.Spec.Selector.selects(o.labels()) {
				budgets = append(budgets, b.Metadata.Name)
				f.unless(fmt.Sprint(b.Spec.MaxUnavailable) == "1", b, "allows %v", b.Spec.MaxUnavailable)
			}
		}
		want := slices.Contains(m.roles(), o)
		f.unless(want && slices.Equal(budgets, []string{o.Metadata.Name}) || !want && len(budgets) == 0, o, "has the budgets %q", budgets)
	}
	for _, s := range m.of("Service") {
		selected := 0
		for _, o := range m.of("Deployment", "StatefulSet") {
			if s.Spec.Selector.selects(o.labels()) {
				selected++
			}
		}
		f.unless(selected == 1, s, "selects %d workloads", selected)
	}
	return f
}
