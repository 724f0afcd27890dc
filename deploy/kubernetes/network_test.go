package kubernetes

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// networkRule is one rule of a NetworkPolicy, in or out.
type networkRule struct {
	From, To []peer
	Ports    []struct {
		Protocol string
		Port     any
	}
}

type peer struct {
	PodSelector       *selector `yaml:"podSelector"`
	NamespaceSelector *selector `yaml:"namespaceSelector"`
	IPBlock           *struct {
		CIDR   string
		Except []string
	} `yaml:"ipBlock"`
}

// String names a peer in short: the words of the tables below.
func (p *peer) String() string {
	switch {
	case p.IPBlock != nil:
		return p.IPBlock.CIDR
	case p.NamespaceSelector != nil && p.PodSelector != nil:
		return p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] + "/" + labelText(p.PodSelector.MatchLabels)
	case p.NamespaceSelector != nil:
		return p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] + "/*"
	case p.PodSelector != nil:
		return labelText(p.PodSelector.MatchLabels)
	}
	return "anywhere"
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, k[strings.LastIndexByte(k, '/')+1:]+"="+labels[k])
	}
	return strings.Join(parts, ",")
}

// reach lists what the policies let pods with these labels connect to, or be
// reached from: "peer:port". A pod that no policy selects could do anything.
func (m manifests) reach(labels map[string]string, direction string) (peers []string, policed bool) {
	for _, o := range m.of("NetworkPolicy") {
		if !o.Spec.PodSelector.selects(labels) || !slices.Contains(o.Spec.PolicyTypes, direction) {
			continue
		}
		policed = true
		rules := o.Spec.Egress
		if direction == "Ingress" {
			rules = o.Spec.Ingress
		}
		for _, r := range rules {
			for _, p := range slices.Concat(r.From, r.To) {
				for _, port := range r.Ports {
					peers = append(peers, fmt.Sprintf("%s:%v", &p, port.Port))
				}
				if len(r.Ports) == 0 {
					peers = append(peers, p.String()+":*")
				}
			}
			if len(r.From)+len(r.To) == 0 {
				peers = append(peers, "anywhere")
			}
		}
	}
	slices.Sort(peers)
	return slices.Compact(peers), policed
}

// network: nobody is without policies, nothing is open to everywhere, and what
// one side may call the other side lets in.
func network(m manifests) []string {
	var f findings
	if !slices.ContainsFunc(m.of("NetworkPolicy"), func(o *object) bool {
		s := o.Spec
		return len(s.PodSelector.MatchLabels) == 0 && len(s.PolicyTypes) == 2 && len(s.Ingress)+len(s.Egress) == 0
	}) {
		f = append(f, "no policy denies what no other allows")
	}
	for _, o := range m.workloads() {
		for _, direction := range []string{"Egress", "Ingress"} {
			peers, policed := m.reach(o.labels(), direction)
			f.unless(policed, o, "no policy restricts its %s", direction)
			f.unless(!slices.Contains(peers, "anywhere"), o, "%s is open", direction)
			for _, p := range peers {
				f.unless(!strings.HasSuffix(p, ":*"), o, "%s of every port: %s", direction, p)
			}
		}
		for _, server := range m.workloads() {
			name := server.Metadata.Labels["app.kubernetes.io/name"]
			out, _ := m.reach(o.labels(), "Egress")
			in, _ := m.reach(server.labels(), "Ingress")
			for _, p := range out {
				port, calls := strings.CutPrefix(p, "name="+name+":")
				f.unless(!calls || slices.ContainsFunc(in, func(from string) bool {
					who, at := from[:strings.LastIndexByte(from, ':')], from[strings.LastIndexByte(from, ':')+1:]
					label, value, _ := strings.Cut(who, "=")
					return at == port && o.labels()["pricelake/"+label] == value
				}), o, "may call %s at %s, which does not let it in", server, port)
			}
		}
	}
	return f
}

// servers are the peers of an overlay, as reach names them.
type servers struct{ kafka, registry, clickhouse, simulator string }

// egress is what each pod of ours may call, and no more.
func egress(at servers) rule {
	dns := "kube-system/k8s-app=kube-dns:53"
	want := map[string][]string{
		"scheduler":    {dns, at.kafka, at.registry},
		"poller":       {dns, at.kafka, at.registry, at.simulator, "0.0.0.0/0:443", "0.0.0.0/0:80", "2000::/3:443", "2000::/3:80"},
		"normalizer":   {dns, at.kafka, at.registry},
		"deduplicator": {dns, at.kafka, at.registry, at.clickhouse},
		"lake":         {dns, at.kafka, at.registry, at.clickhouse},
		"monitor":      {dns, at.kafka},
		"topics":       {dns, at.kafka},
		"schemas":      {dns, at.registry},
		"migrations":   {dns, at.clickhouse},
		"catalog":      {dns, at.kafka, at.registry},
	}
	return func(m manifests) []string {
		var f findings
		for _, o := range m.workloads() {
			if o.Metadata.Labels["app.kubernetes.io/name"] != "pricelake" {
				continue
			}
			got, _ := m.reach(o.labels(), "Egress")
			expected := slices.DeleteFunc(slices.Clone(want[o.Metadata.Name]), func(s string) bool { return s == "" })
			slices.Sort(expected)
			f.unless(slices.Equal(got, expected), o, "may call %q, want %q", got, expected)
		}
		return f
	}
}

// testPollerStaysPublic: addresses that an API may not be at, and some that it
// may.
func testPollerStaysPublic(t *testing.T, m manifests) {
	poller := m.find("Deployment", "poller")
	open := func(addr netip.Addr) bool {
		for _, o := range m.of("NetworkPolicy") {
			if !o.Spec.PodSelector.selects(poller.labels()) {
				continue
			}
			for _, r := range o.Spec.Egress {
				for _, p := range r.To {
					if p.IPBlock == nil || !netip.MustParsePrefix(p.IPBlock.CIDR).Contains(addr) {
						continue
					}
					if !slices.ContainsFunc(p.IPBlock.Except, func(e string) bool { return netip.MustParsePrefix(e).Contains(addr) }) {
						return true
					}
				}
			}
		}
		return false
	}
	refused := []string{"0.0.0.0", "10.96.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"224.0.0.1", "255.255.255.255", "::", "::1", "fd00:ec2::254", "fe80::1", "ff02::1", "64:ff9b::a00:1"}
	// And whatever the poller itself refuses, so that the two do not part.
	source, err := os.ReadFile("../../producers/poller/dial.go")
	if err != nil {
		t.Fatal(err)
	}
	ranges := regexp.MustCompile(`"([0-9a-f.:]+/\d+)"`).FindAllStringSubmatch(string(source), -1)
	if len(ranges) < 15 {
		t.Fatalf("only %d ranges found in the poller's source", len(ranges))
	}
	for _, r := range ranges {
		if r[1] != "2000::/3" { // what is public, not what is refused
			refused = append(refused, netip.MustParsePrefix(r[1]).Addr().Next().String())
		}
	}
	for _, text := range refused {
		if open(netip.MustParseAddr(text)) {
			t.Errorf("the poller may call %s", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "104.18.30.5", "2606:4700::1111"} {
		if !open(netip.MustParseAddr(text)) {
			t.Errorf("the poller may not call %s", text)
		}
	}
}
