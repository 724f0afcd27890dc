package servers

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/freeport"
)

//go:embed kafka.properties
var kafkaProperties string

//go:embed jvm.options
var jvmOptions []byte

//go:embed log4j2.yaml
var log4jConfig []byte

// clusterID is the same in all tests; each broker is a cluster of its own.
const clusterID = "MkU3OEVBNTcwNTJENDM2Qg"

// KafkaConfig says how a broker differs from the one that tests usually want:
// kafka.properties in this package, with the timings for tests of takeovers.
type KafkaConfig struct {
	// Properties of the server to add or replace; an empty value removes one.
	Properties map[string]string
	// Listeners beside PLAINTEXT, name to security protocol, such as
	// {"SECURE": "SASL_SSL"}. Each has a port of its own; ListenerAddr tells it.
	Listeners map[string]string
	// Format is added to the arguments of the storage tool's format command,
	// such as --add-scram SCRAM-SHA-512=[name=ann,password=s3cret].
	Format []string
	// JVM is added to the options of Java.
	JVM []string
}

// Kafka is an Apache Kafka in KRaft mode: broker and controller in one process,
// replication factors 1.
//
// One of a cluster is a node of several; see StartKafkaCluster.
type Kafka struct {
	*server
	addrs map[string]string // by listener
	// node counts from 1; controllers are the ports of all nodes' controllers.
	node        int
	controllers []int
}

// StartKafka starts a broker and returns when it takes connections.
func StartKafka(t testing.TB, cfg KafkaConfig) *Kafka {
	t.Helper()
	controller, err := freeport.Find()
	need(t, err)
	k := newKafka(t, cfg, 1, []int{controller})
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
	return k
}

// newKafka makes a node that does not run yet.
func newKafka(t testing.TB, cfg KafkaConfig, node int, controllers []int) *Kafka {
	t.Helper()
	cache, err := installed("kafka-" + kafkaVersion)
	need(t, err)
	k := &Kafka{addrs: map[string]string{}, node: node, controllers: controllers}
	k.server = &server{t: t, name: "Apache Kafka", dir: t.TempDir(), log: logFile(t, "kafka"), ready: k.started}
	t.Cleanup(k.close)
	if err := k.configure(cache, cfg); err != nil {
		t.Fatal(err)
	}
	return k
}

// Addr is the host:port of the listener PLAINTEXT.
func (k *Kafka) Addr() string { return k.addrs["PLAINTEXT"] }

// ListenerAddr is the host:port of a listener of the configuration.
func (k *Kafka) ListenerAddr(name string) string { return k.addrs[name] }

// started says nil once every listener is open: a broker opens them one by one.
func (k *Kafka) started() error {
	if !strings.Contains(k.lastLog(), "Kafka Server started") {
		return errors.New("it has not said that it has started")
	}
	return nil
}

var versionOfKafka = regexp.MustCompile(`Kafka version: (\S+)`)

// Version is what the broker said of itself when it started.
func (k *Kafka) Version() string {
	if m := versionOfKafka.FindStringSubmatch(k.Log()); m != nil {
		return m[1]
	}
	return "of unknown version"
}

// configure writes everything the broker reads and formats its storage.
func (k *Kafka) configure(cache string, cfg KafkaConfig) error {
	config := filepath.Join(k.dir, "server.properties")
	text, err := k.properties(cfg)
	if err != nil {
		return err
	}
	log4j := filepath.Join(k.dir, "log4j2.yaml")
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(log4j, log4jConfig, 0o600)); err != nil {
		return fmt.Errorf("configuring Apache Kafka: %w", err)
	}
	start, err := java(cache, k.dir, "kafka")
	if err != nil {
		return err
	}
	java := slices.Concat(start, []string{"-Dlog4j2.configurationFile=" + log4j}, cfg.JVM,
		[]string{"-cp", filepath.Join(cache, "kafka-"+kafkaVersion, "libs", "*")})
	k.argv = func() []string { return append(slices.Clone(java), "kafka.Kafka", config) }
	format := append(slices.Clone(java), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", config)
	alike := cfg.Format
	if k.node > 1 { // a storage knows its node
		alike = append(slices.Clone(alike), "node "+strconv.Itoa(k.node))
	}
	return formatted(filepath.Join(cache, "formatted"), filepath.Join(k.dir, "data"), append(format, cfg.Format...), alike)
}

// properties completes kafka.properties.
func (k *Kafka) properties(cfg KafkaConfig) (string, error) {
	controller := k.controllers[k.node-1]
	voters := make([]string, len(k.controllers))
	for i, port := range k.controllers {
		voters[i] = fmt.Sprintf("%d@%s", i+1, loopback(port))
	}
	protocols := maps.Clone(cfg.Listeners)
	if protocols == nil {
		protocols = map[string]string{}
	}
	protocols["PLAINTEXT"] = "PLAINTEXT"
	listeners, protocolMap := []string{"CONTROLLER://" + loopback(controller)}, []string{"CONTROLLER:PLAINTEXT"}
	for _, name := range slices.Sorted(maps.Keys(protocols)) {
		port, err := freeport.Find()
		if err != nil {
			return "", err
		}
		k.addrs[name] = loopback(port)
		listeners = append(listeners, name+"://"+loopback(port))
		protocolMap = append(protocolMap, name+":"+protocols[name])
	}
	text := strings.NewReplacer("${CONTROLLER_PORT}", strconv.Itoa(controller), "${DATA_DIR}", filepath.Join(k.dir, "data")).Replace(kafkaProperties)
	set := map[string]string{"node.id": strconv.Itoa(k.node), "controller.quorum.voters": strings.Join(voters, ","),
		"listeners":                      strings.Join(listeners, ","),
		"listener.security.protocol.map": strings.Join(protocolMap, ",")}
	maps.Copy(set, cfg.Properties)
	return overlay(text, set), nil
}

// overlay replaces and adds properties; an empty value removes one.
func overlay(text string, set map[string]string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		key, _, isProperty := strings.Cut(line, "=")
		if _, replaced := set[key]; isProperty && !strings.HasPrefix(line, "#") && replaced {
			continue
		}
		out.WriteString(line)
	}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		if set[key] != "" {
			fmt.Fprintf(&out, "%s=%s\n", key, set[key])
		}
	}
	return out.String()
}

// formatted makes the storage in dir. Storages formatted alike are alike, and
// formatting starts a Java: what it makes is kept and copied.
func formatted(kept, dir string, format, args []string) error {
	key := sha256.Sum256([]byte(strings.Join(append([]string{kafkaVersion, clusterID}, args...), "\x00")))
	kept = filepath.Join(kept, hex.EncodeToString(key[:8]))
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		if out, err := exec.Command(format[0], format[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("formatting the storage of Apache Kafka: %w\n%s", err, out)
		}
		return keep(dir, kept)
	}
	if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
		return fmt.Errorf("copying the formatted storage of Apache Kafka: %w", err)
	}
	return nil
}

// keep copies a folder in one step, for other processes may do the same.
func keep(dir, kept string) error {
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return fmt.Errorf("keeping a formatted storage: %w", err)
	}
	part, err := os.MkdirTemp(filepath.Dir(kept), ".new-")
	if err != nil {
		return fmt.Errorf("keeping a formatted storage: %w", err)
	}
	if err := os.CopyFS(part, os.DirFS(dir)); err != nil {
		return fmt.Errorf("keeping a formatted storage: %w", err)
	}
	if err := os.Rename(part, kept); err != nil { // somebody else was first
		return os.RemoveAll(part)
	}
	return nil
}

// logFile is where a server of this test says what it says: tests have several.
func logFile(t testing.TB, name string) string {
	for i := 1; ; i++ {
		path := filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.log", name, i))
		if f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
}
