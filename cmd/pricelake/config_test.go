package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/app"
)

// invokeIn is invoke with variables of the environment.
func invokeIn(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut strings.Builder
	code = run(context.Background(), args, append(env, "HOME="+t.TempDir()), strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestConfigPrint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pricelake.yaml")
	if err := os.WriteFile(file, []byte("kafka:\n  brokers: [k:9092]\n  sasl: {mechanism: plain, user: lake, password: env:KAFKA_PASSWORD}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PRICELAKE_CONFIG=" + file, "PRICELAKE_INSTANCE=one", "KAFKA_PASSWORD=canary"}
	code, out, stderr := invokeIn(t, env, "config", "print", "--sources", "--log-level", "debug")
	if code != exitOK {
		t.Fatal(stderr)
	}
	for _, want := range []string{`brokers: ["k:9092"]  # ` + file + ":2", `password: "env:KAFKA_PASSWORD"  # ` + file + ":3", `instance: "one"  # PRICELAKE_INSTANCE`, `level: "debug"  # --log-level`, "partitions: 12  # default"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	// What is printed can be used: it says the same.
	again := filepath.Join(t.TempDir(), "again.yaml")
	if err := os.WriteFile(again, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	_, plain, _ := invokeIn(t, env, "config", "print", "--log-level", "debug")
	if _, got, stderr := invokeIn(t, nil, "config", "print", "--config", again); got != plain {
		t.Errorf("got\n%s%s\nwant\n%s", got, stderr, plain)
	}
	_, lines, _ := invokeIn(t, env, "config", "print", "--json")
	found := false
	for line := range strings.Lines(lines) {
		var s printedSetting
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		found = found || s == printedSetting{"kafka.sasl.password", "PRICELAKE_KAFKA_SASL_PASSWORD", "env:KAFKA_PASSWORD", file + ":3"}
	}
	if !found || strings.Contains(out+lines, "canary") {
		t.Errorf("printed %s", lines)
	}
}

func TestConfigCheck(t *testing.T) {
	f := func(want int, message string, env ...string) {
		t.Helper()
		code, out, stderr := invokeIn(t, env, "config", "check")
		if code != want || !strings.Contains(out, message) {
			t.Errorf("%v: exit %d, said %q %q; want %d, %q", env, code, out, stderr, want, message)
		}
		code, out, _ = invokeIn(t, env, "config", "check", "--json")
		var found checkedConfig
		if err := json.Unmarshal([]byte(out), &found); err != nil || found.OK != (want == exitOK) || code != want {
			t.Errorf("%v: exit %d, %s", env, code, out)
		}
	}
	f(exitOK, "the configuration can work")
	f(exitOK, "warning  clickhouse.password", "PRICELAKE_CLICKHOUSE_ADDR=ch:9000")
	f(exitCheck, "kafka.brokers: write host:port", "PRICELAKE_KAFKA_BROKERS=k")
	f(exitCheck, `clickhouse.password: reading secret "env:NOWHERE"`, "PRICELAKE_CLICKHOUSE_ADDR=127.0.0.1:9000", "PRICELAKE_CLICKHOUSE_PASSWORD=env:NOWHERE")
	f(exitCheck, "registry.tls.ca_file cannot be read", "PRICELAKE_REGISTRY_URL=https://r", "PRICELAKE_REGISTRY_TLS_CA_FILE=/nonexistent.pem")
}

// TestUpRefusesServers: a setting is refused rather than left out of account.
func TestUpRefusesServers(t *testing.T) {
	code, _, stderr := invokeIn(t, []string{"PRICELAKE_KAFKA_BROKERS=k:9092", "PRICELAKE_CLICKHOUSE_TLS_ENABLED=true", "PRICELAKE_KAFKA_PARTITIONS=2"}, "up", "--demo")
	if code != exitUsage || !strings.Contains(stderr, "clickhouse.tls.enabled (PRICELAKE_CLICKHOUSE_TLS_ENABLED), kafka.brokers (PRICELAKE_KAFKA_BROKERS); leave them out") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestACL(t *testing.T) {
	code, out, _ := invoke(t, "", "acl", "normalizer", "--principal-prefix", "User:CN=it's ")
	want := `: "${KAFKA:?set it to host:port of a broker}" "${ADMIN_CONFIG:?set it to the file with the login of an administrator}"

# normalizer
kafka-acls.sh --bootstrap-server "$KAFKA" --command-config "$ADMIN_CONFIG" --add --allow-principal 'User:CN=it'\''s normalizer' --operation Read --topic responses.v1 --topic catalog.calls.v1 --topic prices.observed.v1 --topic prices.rejected.v1 --topic deadletters.v1 --topic roles.v1
kafka-acls.sh --bootstrap-server "$KAFKA" --command-config "$ADMIN_CONFIG" --add --allow-principal 'User:CN=it'\''s normalizer' --operation Write --topic prices.observed.v1 --topic prices.rejected.v1 --topic deadletters.v1
kafka-acls.sh --bootstrap-server "$KAFKA" --command-config "$ADMIN_CONFIG" --add --allow-principal 'User:CN=it'\''s normalizer' --operation Read --group pricelake.normalizer
kafka-acls.sh --bootstrap-server "$KAFKA" --command-config "$ADMIN_CONFIG" --add --allow-principal 'User:CN=it'\''s normalizer' --operation Write --resource-pattern-type prefixed --transactional-id pricelake-normalizer-
`
	if code != exitOK || out != want {
		t.Errorf("exit %d\n%s", code, out)
	}
	_, out, _ = invoke(t, "", "acl", "--json", "operator")
	var first app.ACL
	if err := json.Unmarshal([]byte(strings.SplitN(out, "\n", 2)[0]), &first); err != nil || first != (app.ACL{Role: "operator", Principal: "User:operator", Operation: "Read", Resource: "topic", Name: "deadletters.v1"}) {
		t.Errorf("%+v, %v", first, err)
	}
	if code, out, _ := invoke(t, "", "acl", "--format", "table"); code != exitOK || !strings.Contains(out, "User:normalizer\tWrite\ttransactional-id\tpricelake-normalizer-*") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, stderr := invoke(t, "", "acl", "nobody"); code != exitUsage || !strings.Contains(stderr, "there are scheduler,") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestConfigMistakesAtOnce: mistakes of the file, of its values, of the
// environment and of flags are told together, one a line.
func TestConfigMistakesAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pricelake.yaml")
	if err := os.WriteFile(file, []byte("kafka: {brokrs: k}\nlog: {level: loud}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"PRICELAKE_CONFIG=" + file, "PRICELAKE_LAKE_MAX_ROWS=many"}
	code, out, stderr := invokeIn(t, env, "config", "check", "--json")
	var found checkedConfig
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v: %s%s", err, out, stderr)
	}
	if code != exitCheck || len(found.Problems) != 3 {
		t.Errorf("exit %d, %q", code, found.Problems)
	}
	for i, want := range []string{"kafka.brokrs", "PRICELAKE_LAKE_MAX_ROWS", "log.level: write debug"} {
		if i < len(found.Problems) && !strings.Contains(found.Problems[i], want) {
			t.Errorf("problem %d is %q, want %q in it", i, found.Problems[i], want)
		}
	}
}
