package lake

import (
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

// openLake returns a migrated lake in a database of its own.
func openLake(t testing.TB) *Lake {
	t.Helper()
	return lakeIn(t, embedtest.ClickHouse(t), embedtest.Database(t))
}

// lakeIn returns a migrated lake in a database of a server.
func lakeIn(t testing.TB, ch *embed.ClickHouse, database string) *Lake {
	t.Helper()
	config := DefaultConfig()
	config.Address = ch.NativeAddr()
	config.User, config.Password = ch.Owner().User, ch.Owner().Password
	config.Database = database
	config.StallTimeout = time.Second
	l, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMigrate(t *testing.T) {
	l := openLake(t)
	again, err := l.Migrate(t.Context())
	if err != nil || len(again) != 0 {
		t.Errorf("a second Migrate applied %v, %v", again, err)
	}
	status, err := l.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range status {
		if m.Applied.IsZero() {
			t.Errorf("%s is not applied", m.Name)
		}
	}
	if err := l.CheckSettings(t.Context()); err != nil {
		t.Error(err)
	}
}

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

func readerOf(t *testing.T) (user, password string) {
	r := embedtest.ClickHouse(t).Reader()
	return r.User, r.Password
}
