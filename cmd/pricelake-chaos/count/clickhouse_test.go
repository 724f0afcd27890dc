package count

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/sinks/lake"
)

func TestMain(m *testing.M) {
	code := embedtest.Main(m)
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// realLake loads the rows of a system into the product's own tables in a real
// ClickHouse; the other tables are taken from the system.
type realLake struct {
	*ClickHouse
	*system
}

func (l realLake) Query(ctx context.Context, statement string, each func([]string) error) error {
	if strings.Contains(statement, "FROM prices") && !strings.Contains(statement, "FROM prices_rejected") {
		return l.ClickHouse.Query(ctx, statement, each)
	}
	return l.system.Query(ctx, statement, each)
}

func newRealLake(t *testing.T) *ClickHouse {
	t.Helper()
	database := embedtest.Database(t)
	ch := embedtest.ClickHouse(t)
	cfg := lake.DefaultConfig()
	cfg.Address, cfg.User, cfg.Password, cfg.Database = ch.NativeAddr(), ch.Owner().User, ch.Owner().Password, database
	l, err := lake.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &ClickHouse{URL: ch.HTTPURL(), User: ch.Owner().User, Password: ch.Owner().Password, Database: database, Client: http.DefaultClient}
}

func (l realLake) load(t *testing.T) {
	t.Helper()
	exec := func(statement string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL+"/?database="+l.Database, strings.NewReader(statement))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-ClickHouse-User", l.User)
		req.Header.Set("X-ClickHouse-Key", l.Password)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			text := make([]byte, 500)
			n, _ := resp.Body.Read(text)
			t.Fatalf("status %d: %s", resp.StatusCode, text[:n])
		}
	}
	exec("TRUNCATE TABLE prices")
	var b strings.Builder
	b.WriteString("INSERT INTO prices (event_id, revision, provider, instrument, price, size, event_time, trade_id, _topic_id, _partition, _offset) FORMAT TabSeparated\n")
	for _, r := range l.rows {
		at := time.UnixMicro(r.micros).UTC().Format("2006-01-02 15:04:05.000000")
		fmt.Fprintf(&b, "%s\t%d\tchaos\t%s\t%s\t%s\t%s\t%s\t00000000-0000-0000-0000-000000000001\t%d\t%d\n", r.event, r.revision, r.instrument, r.price, r.size, at, r.trade, r.partition, r.offset)
	}
	exec(b.String())
}

// TestOracleOnRealTables: ClickHouse hashes and prints rows as the model does, so
// that an honest table is found honest and a planted mistake is found.
func TestOracleOnRealTables(t *testing.T) {
	ch := newRealLake(t)
	for _, planted := range []struct {
		name                 string
		plant                func(*system)
		lost, doubled, wrong int
		failed               string
	}{
		{"nothing", func(*system) {}, 0, 0, 0, ""},
		{"a row is missing", func(s *system) { s.rows = s.rows[1:] }, 1, 0, 0, "O1 O4"},
		{"a row is there twice", func(s *system) { s.rows = append(s.rows, s.rows[7]) }, 0, 1, 0, "O2 O4"},
		{"a price is off", func(s *system) { s.rows[9].price = "1" }, 0, 0, 1, "O3"},
		{"two trades have one event id", func(s *system) { s.rows[3].event = s.rows[4].event }, 0, 0, 0, "O2 O4"},
		{"two rows have each other's offsets", func(s *system) {
			s.rows[3].offset, s.rows[4].offset = s.rows[4].offset, s.rows[3].offset
		}, 0, 0, 0, "O4"},
	} {
		t.Run(planted.name, func(t *testing.T) {
			s := newSystem(t)
			planted.plant(s)
			l := realLake{ch, s}
			l.load(t)
			r := &Report{}
			o := &Oracle{Ledger: s.ledger, Topics: s, Decoder: s, Lake: l}
			if err := o.Count(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.failed(), " "); got != planted.failed || r.Lost != planted.lost || r.Doubled != planted.doubled || r.Wrong != planted.wrong {
				t.Errorf("%q failed, %q should have; %d lost, %d doubled, %d wrong: %+v", got, planted.failed, r.Lost, r.Doubled, r.Wrong, r.Checks)
			}
		})
	}
}
