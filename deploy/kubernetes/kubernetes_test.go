package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestManifests renders each overlay once: that is what takes time.
func TestManifests(t *testing.T) {
	overlays := prepare(t)
	t.Run("demo", func(t *testing.T) {
		rendered := build(t, filepath.Join(overlays, "demo"))
		of := rules()
		of["egress"] = egress(servers{"name=kafka:9092", "name=registry:8080", "name=clickhouse:9000", "name=simulator:8099"})
		check(t, parse(t, rendered), of)
		t.Run("mistakes are found", func(t *testing.T) { testRulesFind(t, string(rendered), of) })
	})
	t.Run("production", func(t *testing.T) {
		m := parse(t, build(t, filepath.Join(overlays, "production")))
		of := rules()
		of["egress"] = egress(servers{"kafka/*:9093", "registry/*:8443", "clickhouse/*:9440", ""})
		check(t, m, of)
		t.Run("secrets are documented", func(t *testing.T) { testSecrets(t, m) })
		t.Run("poller stays public", func(t *testing.T) { testPollerStaysPublic(t, m) })
	})
	t.Run("certificates", func(t *testing.T) { testCertificates(t, filepath.Join(overlays, "production")) })
}

func check(t *testing.T, m manifests, of map[string]rule) {
	t.Helper()
	if len(m.workloads()) < 10 {
		t.Fatalf("only %d workloads", len(m.workloads()))
	}
	for name, rule := range of {
		for _, finding := range rule(m) {
			t.Errorf("%s: %s", name, finding)
		}
	}
}

// testCertificates: production with client certificates in place of passwords.
func testCertificates(t *testing.T, dir string) {
	file := filepath.Join(dir, "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "components/kafka-scram ", "components/kafka-mtls ", 1)
	if changed == string(text) {
		t.Fatal("kafka-scram is not among the components")
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	m := parse(t, build(t, dir))
	check(t, m, rules())
	for _, o := range m.roles() {
		environ := strings.Join(m.environment(o.container()), "\n")
		if !strings.Contains(environ, "PRICELAKE_KAFKA_TLS_CERT_FILE=") || strings.Contains(environ, "SASL") {
			t.Errorf("%s logs in with\n%s", o, environ)
		}
	}
}

// testRulesFind: each rule sees the mistake it is for.
func testRulesFind(t *testing.T, rendered string, of map[string]rule) {
	for _, tc := range []struct{ rule, old, new string }{
		{"restricted", "runAsNonRoot: true", "runAsNonRoot: false"},
		{"restricted", "runAsUser: 65532", "runAsUser: 0"},
		{"restricted", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"},
		{"restricted", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"},
		{"restricted", "- ALL", "- CHOWN"},
		{"restricted", "type: RuntimeDefault", "type: Unconfined"},
		{"restricted", "pod-security.kubernetes.io/enforce: restricted", "pod-security.kubernetes.io/enforce: baseline"},
		{"accounts", "automountServiceAccountToken: false", "automountServiceAccountToken: true"},
		{"accounts", "enableServiceLinks: false", "enableServiceLinks: true"},
		{"accounts", "serviceAccountName: poller", "serviceAccountName: default"},
		{"images", "image: apache/kafka:4.3.1", "image: apache/kafka"},
		{"images", "image: apache/kafka:4.3.1", "image: apache/kafka:latest"},
		{"images", "imagePullPolicy: IfNotPresent", "imagePullPolicy: Always"},
		{"resources", "memory: 512Mi", "memory: 4Gi"},
		{"resources", "value: 448MiB", "value: 512MiB"},
		{"probes", "path: /readyz", "path: /livez"},
		{"probes", "port: admin", "port: http"},
		{"probes", "startupProbe:", "startUpProbe:"},
		{"life", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 10"},
		{"life", "ttlSecondsAfterFinished: 3600", "parallelism: 1"},
		{"life", "restartPolicy: Never", "restartPolicy: OnFailure"},
		{"life", "whenUnsatisfiable: ScheduleAnyway", "whenUnsatisfiable: DoNotSchedule"},
		{"roles", "- lake\n", "- poller\n"},
		{"disruption", "app.kubernetes.io/component: lake", "app.kubernetes.io/component: poller"},
		{"references", "- configMap:\n          name: pricelake-catalog", "- configMap:\n          name: another"},
		{"settings", "PRICELAKE_REGISTRY_URL", "PRICELAKE_REGISTRY_ADDR"},
		{"settings", "kafka:9092\n", "kafka\n"},
		{"settings", "mountPath: /run/secrets/clickhouse", "mountPath: /run/clickhouse"},
		{"settings", "mountPath: /var/lib/pricelake", "mountPath: /data"},
		{"settings", ":8090\n", ":8091\n"},
		{"network", "  - Ingress\n  - Egress\n", "  - Ingress\n"},
		{"network", "          pricelake/kafka: client\n    ports", "          pricelake/kafka: nobody\n    ports"},
		{"egress", "pricelake/kafka: client\n  policyTypes", "pricelake/kafka: nobody\n  policyTypes"},
		{"egress", "podSelector:\n    matchLabels:\n      pricelake/clickhouse: client\n", "podSelector:\n    matchLabels:\n      pricelake/kafka: client\n"},
		{"noInlineKeys", "value: file:/run/secrets/clickhouse/password", "value: secret"},
	} {
		t.Run(tc.rule+" "+strings.TrimSpace(tc.new), func(t *testing.T) {
			if !strings.Contains(rendered, tc.old) {
				t.Fatalf("nothing to change: %q is not there", tc.old)
			}
			wrong := strings.ReplaceAll(rendered, tc.old, tc.new)
			if len(of[tc.rule](parse(t, []byte(wrong)))) == 0 {
				t.Errorf("the rule does not mind")
			}
		})
	}
}
