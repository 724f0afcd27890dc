package servers

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/freeport"
)

// RegistryConfig says how a registry differs from the one tests usually want.
type RegistryConfig struct {
	// Kafka, if set, is the broker (host:port, PLAINTEXT) whose topics hold the
	// schemas. Without one they are in a file.
	Kafka string
	// Properties of the registry to add or replace, such as apicurio.auth….
	Properties map[string]string
}

// Registry is an Apicurio Registry.
type Registry struct {
	*server
	base string
}

// StartRegistry starts a registry and returns when it has read its schemas and
// answers.
func StartRegistry(t testing.TB, cfg RegistryConfig) *Registry {
	t.Helper()
	cache, err := installed("apicurio-" + registryVersion)
	need(t, err)
	port, err := freeport.Find()
	need(t, err)
	management, err := freeport.Find()
	need(t, err)
	r := &Registry{base: "http://" + loopback(port)}
	health := "http://" + loopback(management) + "/health/ready"
	r.server = &server{t: t, name: "Apicurio Registry", dir: t.TempDir(), log: logFile(t, "registry"), ready: func() error { return answers(health) }}
	t.Cleanup(r.close)
	properties := map[string]string{
		"quarkus.http.host":               "127.0.0.1",
		"quarkus.http.port":               strconv.Itoa(port),
		"quarkus.http.access-log.enabled": "false",
		"quarkus.management.host":         "127.0.0.1",
		"quarkus.management.port":         strconv.Itoa(management),
		"java.util.logging.manager":       "org.jboss.logmanager.LogManager",
	}
	if cfg.Kafka != "" {
		properties["apicurio.storage.kind"] = "kafkasql"
		properties["apicurio.kafkasql.bootstrap.servers"] = cfg.Kafka
		properties["apicurio.kafkasql.consumer.poll.timeout"] = "1000"
	} else {
		properties["apicurio.storage.kind"] = "sql"
		properties["apicurio.datasource.url"] = "jdbc:h2:file:" + filepath.Join(r.dir, "registry")
	}
	maps.Copy(properties, cfg.Properties)
	argv, err := java(cache, r.dir, "apicurio")
	need(t, err)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		argv = append(argv, "-D"+key+"="+properties[key])
	}
	argv = append(argv, "-jar", filepath.Join(cache, "apicurio-"+registryVersion, "quarkus-run.jar"))
	r.argv = func() []string { return argv }
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// URL is the address of the Confluent API.
func (r *Registry) URL() string { return r.base + "/apis/ccompat/v7" }

// Version asks the registry for its own.
func (r *Registry) Version() string {
	var info struct {
		Version string `json:"version"`
	}
	text, err := get(r.base + "/apis/registry/v3/system/info")
	if err == nil {
		err = json.Unmarshal(text, &info)
	}
	if err != nil {
		return "of unknown version (" + err.Error() + ")"
	}
	return info.Version
}

// answers says nil when url answers with status 200.
func answers(url string) error {
	_, err := get(url)
	return err
}

func get(url string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers with status %d: %.200s", url, resp.StatusCode, text)
	}
	return text, err
}
