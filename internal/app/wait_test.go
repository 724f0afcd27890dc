package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Roles that are started before their servers, topics and schemas wait, say for
// what, and work once it is there.
func TestRolesWaitForKafkaAndRegistry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	roles := []string{"scheduler", "poller", "normalizer", "deduplicator"}
	a := r.app("")
	r.run(a, roles...)
	says(t, a, "connection refused", roles...)
	r.startBroker()
	says(t, a, "run `pricelake topics apply`", roles...)
	r.applyTopics()
	says(t, a, "the schema registry is not available", roles...)
	r.startRegistry()
	says(t, a, "run `pricelake schemas register`", roles...)
	r.registerSchemas()
	says(t, a, "")
}

// users writes the users of an engine, whose passwords are words.
func users(t *testing.T, dir string, passwords map[string]string) {
	t.Helper()
	text, err := accounts.UsersXML(lake.DefaultDatabase)
	if err != nil {
		t.Fatal(err)
	}
	secrets := "<clickhouse><users>"
	for user, password := range passwords {
		secrets += fmt.Sprintf("<%s><password_sha256_hex>%x</password_sha256_hex></%[1]s>", user, sha256.Sum256([]byte(password)))
	}
	for name, text := range map[string]string{"pricelake.xml": string(text), "passwords.xml": secrets + "</users></clickhouse>"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The lake waits for its password, its tables and, once it works, for a password
// that is right again. It neither crashes nor gives up a record.
func TestLakeWaitsForClickHouse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startPipes()
	dir := t.TempDir()
	passwords := map[string]string{accounts.Migrator: "m", accounts.Writer: "w", accounts.Reader: "r"}
	users(t, dir, passwords)
	server := embedtest.WithUsers(t, dir)
	watch, stop := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- server.Run(watch) }()
	t.Cleanup(func() {
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	})
	restart := func(writer string) { // as an operator who changes the password
		t.Helper()
		passwords[accounts.Writer] = writer
		users(t, dir, passwords)
		before := server.Restarts()
		if err := syscall.Kill(server.Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for server.Restarts() == before {
			time.Sleep(5 * time.Millisecond)
		}
	}

	r.config.ClickHouse.User = accounts.Writer
	a := r.app("not yet")
	r.run(a, lake.Role)
	says(t, a, "connection refused", lake.Role)
	r.config.ClickHouse.Addr = server.NativeAddr()
	b := r.app("not yet")
	r.run(b, lake.Role)
	says(t, b, "uthentication failed", lake.Role)
	restart("not yet")
	says(t, b, "run `pricelake migrate`", lake.Role)
	r.config.ClickHouse.User = accounts.Migrator
	if _, err := r.app("m").Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	says(t, b, "", lake.Role)

	restart("changed")
	publishReject(t, b)
	says(t, b, "uthentication failed", lake.Role)
	restart("not yet")
	says(t, b, "", lake.Role)
	r.config.ClickHouse.User = accounts.Reader
	reader := r.app("r")
	rows := func(query string) (n uint64) {
		t.Helper()
		if err := reader.eachRow(t.Context(), query, func(row []string) { n = count(row[0]) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); rows("SELECT count() FROM prices_rejected") == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the record did not arrive")
		}
	}
	if n := rows("SELECT count() FROM dead_letters"); n != 0 {
		t.Errorf("%d records were given up", n)
	}
}

// publishReject publishes one record that the lake loads.
func publishReject(t *testing.T, a *App) {
	t.Helper()
	codec, err := avro.NewCodec[schemas.PriceRejected](schemas.TopicRejected, a.registry)
	if err != nil {
		t.Fatal(err)
	}
	if err := codec.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	value, err := codec.Append(nil, &schemas.PriceRejected{Provider: "p", CallID: "c", Reason: schemas.RejectBadNumber, FetchedAt: now})
	if err != nil {
		t.Fatal(err)
	}
	config := a.kafkaConfig("test")
	config.Registerer = nil
	producer, err := kafka.NewProducer(config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Publish(t.Context(), stream.Record{Topic: schemas.TopicRejected, Key: []byte("k"), Value: value}); err != nil {
		t.Fatal(err)
	}
}
