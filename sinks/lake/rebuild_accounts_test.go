package lake

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// The account of deploy/clickhouse/rebuilder.xml can do all that a rebuild does,
// and remove nothing else.
func TestRebuilderAccount(t *testing.T) {
	dir := t.TempDir()
	passwords := "<clickhouse><users>"
	for _, name := range []string{accounts.Migrator, accounts.Writer, accounts.Reader, accounts.Rebuilder} {
		passwords += fmt.Sprintf("<%s><password_sha256_hex>%x</password_sha256_hex></%[1]s>", name, sha256.Sum256([]byte("password of "+name)))
	}
	copyFile(t, "../../deploy/clickhouse/users.d/pricelake.xml", filepath.Join(dir, "pricelake.xml"))
	copyFile(t, "../../deploy/clickhouse/rebuilder.xml", filepath.Join(dir, "rebuilder.xml"))
	if err := os.WriteFile(filepath.Join(dir, "passwords.xml"), []byte(passwords+"</users></clickhouse>"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := rig{embedtest.WithUsers(t, dir)}
	if _, err := r.as(t, accounts.Migrator).Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	writer, rebuilder := r.as(t, accounts.Writer), r.as(t, accounts.Rebuilder)
	b := block(record(t, schemas.TopicPrices, 5, somePrice(t, 1)), record(t, schemas.TopicPrices, 7, somePrice(t, 2)))
	b.Epoch = 0
	if err := openSink(t, writer).Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	plan := RebuildPlan{Table: "prices", Topic: schemas.TopicPrices, TopicID: schemas.ID(topicID).String(), Coverage: []Coverage{{Partition: 0, First: 6, Next: 8, Covered: true}}}
	re, err := rebuilder.BeginRebuild(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	shadow := NewSink(rebuilder, Options{Decoders: jsonDecoders(), Cluster: "test", Shadow: re.Shadow(), Now: time.Now, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	again := block([]stream.Record{b.Records[1]}...)
	again.Epoch = re.Epoch
	if err := shadow.Fence(t.Context(), again.Partition); err != nil {
		t.Fatal(err)
	}
	if err := shadow.Write(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if last, err := re.LoadedTo(t.Context(), 0); err != nil || last != 7 {
		t.Errorf("loaded to %d, %v", last, err)
	}
	days, err := re.Compare(t.Context(), nil)
	if err != nil || len(days) != 1 || !days[0].Equal {
		t.Fatalf("compared: %+v, %v", days, err)
	}
	months, err := re.Months(t.Context())
	if err != nil || len(months) != 1 {
		t.Fatalf("months %v, %v", months, err)
	}
	s, err := re.Stage(t.Context(), months[0], nil)
	if err != nil || s.Kept != 1 || s.Loaded != 1 {
		t.Fatalf("staged %+v, %v", s, err)
	}
	if err := re.Replace(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := re.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, rebuilder, "SELECT _offset, _lake_epoch FROM prices ORDER BY 1"); got != "5\t0\n7\t1" {
		t.Errorf("the table holds %s", got)
	}
	refused(t, rebuilder, noRight,
		"DROP TABLE prices", "TRUNCATE TABLE prices", "DROP VIEW prices_current", "DROP DATABASE pricelake",
		"ALTER TABLE prices ADD COLUMN x Int8", "ALTER TABLE calls_history DELETE WHERE 1", "INSERT INTO migrations (version_id) VALUES (1)",
		"INSERT INTO audits (first) VALUES (1)", "CREATE USER eve", "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM system.users")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
