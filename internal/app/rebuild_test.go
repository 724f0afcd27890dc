package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// rebuildChild is the variable that makes this test binary a process that
// rebuilds a table, as the program does, so that it can be killed.
const rebuildChild = "PRICELAKE_TEST_REBUILD"

type childSettings struct {
	Config   config.Config
	Password string
	Options  RebuildOptions
}

// beRebuild runs a rebuild if the environment says so, and returns the status.
func beRebuild() (status int, is bool) {
	text := os.Getenv(rebuildChild)
	if text == "" {
		return 0, false
	}
	var s childSettings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	points, err := failpoint.FromEnv(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	a, err := New(Settings{Config: s.Config, ClickHousePassword: s.Password, Getenv: os.Getenv, Failpoints: points}, slog.New(slog.NewTextHandler(os.Stderr, nil)), prometheus.NewRegistry())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	defer a.Close()
	report, err := a.Rebuild(context.Background(), s.Options)
	_ = json.NewEncoder(os.Stdout).Encode(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, ErrDiffers) {
			return 3, true
		}
		return 1, true
	}
	return 0, true
}

// rebuilds is servers with a loaded lake, and rebuilds of its prices in processes
// of their own.
type rebuilds struct {
	*rig
	app      *App
	password string
	stopLake func() // the role, which runs in this process
	producer *kafka.Producer
	prices   *avro.Codec[schemas.Price]
	others   int // records of another topic
}

// newRebuilds loads events into two partitions and two months.
func newRebuilds(t *testing.T, events int) *rebuilds {
	t.Helper()
	ch := embedtest.ClickHouse(t)
	r := &rebuilds{rig: newRig(t), password: ch.Owner().Password}
	r.config.Kafka.SessionTimeout, r.config.Kafka.TransactionTimeout = 3*time.Second, 3*time.Second // those who are killed are waited for
	r.config.ClickHouse.Addr, r.config.ClickHouse.User = ch.NativeAddr(), ch.Owner().User
	r.config.ClickHouse.Database = embedtest.Database(t)
	r.startBroker()
	r.startRegistry()
	r.registerSchemas()
	r.app = r.rig.app(r.password)
	r.app.profile.Partitions = 2
	if _, err := r.app.ApplyTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.app.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stopLake = r.run(r.app, lake.Role)
	says(t, r.app, "", lake.Role)
	r.publish(0, events)
	r.wait()
	return r
}

// publish appends prices n to m-1, alternating between partitions.
func (r *rebuilds) publish(n, m int) {
	r.t.Helper()
	var batch []stream.Record
	for i := n; i < m; i++ {
		batch = append(batch, r.price(i, m))
		if len(batch) == 5000 || i == m-1 {
			r.send(batch...)
			batch = batch[:0]
		}
	}
}

// price is the record of price i of n.
func (r *rebuilds) price(i, n int) stream.Record {
	r.t.Helper()
	if r.prices == nil {
		var err error
		if r.prices, err = codec[schemas.Price](r.t.Context(), r.app, schemas.TopicPrices); err != nil {
			r.t.Fatal(err)
		}
	}
	base := time.Date(2026, 1, 28, 0, 0, 0, 0, time.UTC)
	price, _, _ := schemas.ParseDecimal(fmt.Sprintf("%d.%02d", 100+i%50, i%100))
	p := schemas.Price{
		EventID: schemas.DeriveID("rebuild", strconv.Itoa(i)), Provider: "kraken", CallID: "ticker", CallVersion: "v1",
		Instrument: fmt.Sprintf("I%d-USD", i%20), Base: "I", Quote: "USD", Kind: schemas.KindTicker, RateType: schemas.RateLast,
		Price: schemas.NullDecimal{Decimal: price, Valid: true}, EventTime: base.Add(time.Duration(i) * (8 * 24 * time.Hour / time.Duration(n))),
		EventTimeKind: schemas.TimeFetched, RequestedAt: base, FetchedAt: base,
	}
	value, err := r.prices.Append(nil, &p)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream.Record{Topic: schemas.TopicPrices, Partition: int32(i % 2), Key: []byte(p.Instrument), Value: value}
}

func (r *rebuilds) send(batch ...stream.Record) {
	r.t.Helper()
	if r.producer == nil {
		c := r.app.kafkaConfig("test")
		c.Registerer = prometheus.NewRegistry()
		var err error
		if r.producer, err = kafka.NewProducer(c); err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(r.producer.Close)
	}
	if err := r.producer.Publish(r.t.Context(), batch...); err != nil {
		r.t.Fatal(err)
	}
}

// wait waits until everything is loaded and is what it should be.
func (r *rebuilds) wait() {
	r.t.Helper()
	report, err := r.app.Verify(r.t.Context(), VerifyOptions{Topics: []string{schemas.TopicPrices}, Wait: true})
	if err != nil || !report.OK {
		r.t.Fatalf("the lake is not right: %+v, %v", report, err)
	}
}

func (r *rebuilds) ask(query string) string {
	r.t.Helper()
	var out []string
	if err := r.app.eachRow(r.t.Context(), query, func(cells []string) { out = append(out, strings.Join(cells, " ")) }); err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// exec runs a statement that gives no answer.
func (r *rebuilds) exec(statement string) {
	r.t.Helper()
	if err := embedtest.ClickHouse(r.t).Exec(r.t.Context(), statement); err != nil {
		r.t.Fatal(err)
	}
}

// running is a rebuild in a process of its own.
type running struct {
	t       *testing.T
	cmd     *exec.Cmd
	stdout  strings.Builder
	stderr  strings.Builder
	points  string // file that says which failpoints were passed
	waiting chan struct{}
}

// begin starts a rebuild.
func (r *rebuilds) begin(points string, opts RebuildOptions) *running {
	r.t.Helper()
	opts.Table, opts.By = "prices", "test"
	text, err := json.Marshal(childSettings{r.config, r.password, opts})
	if err != nil {
		r.t.Fatal(err)
	}
	b := &running{t: r.t, cmd: exec.Command(os.Args[0]), points: filepath.Join(r.t.TempDir(), "points"), waiting: make(chan struct{})}
	b.cmd.Env = append(os.Environ(), rebuildChild+"="+string(text), failpoint.Env+"="+points, failpoint.LogEnv+"="+b.points)
	b.cmd.Stdout, b.cmd.Stderr = &b.stdout, &b.stderr
	if err := b.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(b.waiting)
		_ = b.cmd.Wait()
	}()
	r.t.Cleanup(func() { _ = b.cmd.Process.Kill(); <-b.waiting })
	return b
}

// end waits for the end. The status is -1 when the process was killed.
func (b *running) end() (report RebuildReport, status int, said string) {
	<-b.waiting
	_ = json.Unmarshal([]byte(b.stdout.String()), &report)
	return report, b.cmd.ProcessState.ExitCode(), b.stderr.String()
}

// at waits until a failpoint has done what it was armed for.
func (b *running) at(p failpoint.Point) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(b.points); err == nil && strings.Contains(string(text), "fire "+string(p)+" ") {
			return
		}
	}
	b.t.Fatalf("a rebuild has not come to %s: %s", p, b.stderr.String())
}

// rebuild runs a rebuild to its end.
func (r *rebuilds) rebuild(points string, opts RebuildOptions) (report RebuildReport, status int, said string) {
	r.t.Helper()
	return r.begin(points, opts).end()
}

const contents = "SELECT toDate(event_time) AS d, count(), sum(cityHash64(toString(tuple(* EXCEPT (inserted_at, _lake_epoch))))) FROM %sprices %s GROUP BY d ORDER BY d"

// reader asks for what a reader would see, over and over, and fails the test when
// a row is missing or doubled.
func (r *rebuilds) reader() (stop func() int) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	least, polls := uint64(0), 0
	wg.Go(func() {
		for ctx.Err() == nil {
			err := r.app.eachRow(ctx, "SELECT count(), uniqExact(event_id, revision) FROM prices", func(cells []string) {
				rows, unique := count(cells[0]), count(cells[1])
				if rows != unique || rows < least {
					r.t.Errorf("a reader sees %d rows, %d different, after %d", rows, unique, least)
				}
				least = rows
				polls++
			})
			if err != nil && ctx.Err() == nil {
				r.t.Errorf("a reader: %v", err)
			}
		}
	})
	return func() int { cancel(); wg.Wait(); return polls }
}

// forget makes the log drop the records of a partition below an offset.
func (r *rebuilds) forget(partition int32, below int64) {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Kafka.Brokers...))
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	var offsets kadm.Offsets
	offsets.AddOffset(schemas.TopicPrices, partition, below, -1)
	res, err := kadm.NewClient(client).DeleteRecords(r.t.Context(), offsets)
	if err == nil {
		err = res.Error()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// A rebuild that is killed at each of its steps goes on when it is run again, and
// in the end the table holds what it held, day by day; readers never see a part
// of it, rows older than the log are not touched, and what arrives meanwhile is
// neither lost nor doubled.
func TestRebuildKilled(t *testing.T) {
	events := 50_000
	if n, err := strconv.Atoi(os.Getenv("PRICELAKE_MEASURE_REBUILD")); err == nil {
		events = n
	}
	r := newRebuilds(t, events)
	old := int64(events / 20)
	r.forget(0, old)
	before := r.ask(fmt.Sprintf(contents, "", ""))
	older := "SELECT count(), sum(cityHash64(toString(tuple(*)))), max(_lake_epoch) FROM prices WHERE _partition = 0 AND _offset < " + strconv.FormatInt(old, 10)
	untouched := r.ask(older)
	stop := r.reader()
	for _, points := range []string{"rebuild.loaded=kill", "rebuild.loaded=kill@2", "rebuild.swap=kill", "rebuild.swapped=kill", "rebuild.swapped=kill"} {
		began := time.Now()
		if report, status, said := r.rebuild(points, RebuildOptions{}); status != -1 {
			t.Fatalf("%s: it ended with %d and %+v\n%s", points, status, report, said)
		}
		t.Logf("%s: killed after %v", points, time.Since(began).Round(time.Millisecond))
	}
	r.publish(events, events+1000) // the role is paused: they wait
	began := time.Now()
	report, status, said := r.rebuild("", RebuildOptions{})
	if status != 0 || !report.Resumed || !report.Equal {
		t.Fatalf("the last run ended with %d: %+v\n%s", status, report, said)
	}
	t.Logf("went on to the end in %v", time.Since(began).Round(time.Millisecond))
	r.wait()
	t.Logf("a reader asked %d times", stop())
	began = time.Now()
	part, err := r.app.Verify(t.Context(), VerifyOptions{Topics: []string{schemas.TopicPrices}, To: int64(events)})
	if err != nil || !part.OK {
		t.Errorf("verify: %+v, %v", part, err)
	}
	t.Logf("verify of %d offsets took %v", part.Partitions[0].Records+part.Partitions[1].Records, time.Since(began).Round(time.Millisecond))
	if after := r.ask(fmt.Sprintf(contents, "", "WHERE NOT (_partition IN (0, 1) AND _offset >= "+strconv.Itoa(events/2)+")")); after != before {
		t.Errorf("the table holds\n%s\nit held\n%s", after, before)
	}
	if got := r.ask(older); got != untouched {
		t.Errorf("rows older than the log are %s, they were %s", got, untouched)
	}
	if got, want := r.ask("SELECT countIf(_lake_epoch = 1), countIf(_lake_epoch = 0) FROM prices"), fmt.Sprintf("%d %d", int64(events)-old, old+1000); got != want {
		t.Errorf("rows of the new epoch and the old one: %s, want %s", got, want)
	}
	if got := r.ask("SELECT count() FROM system.tables WHERE database = currentDatabase() AND startsWith(name, 'rebuild_')"); got != "0" {
		t.Errorf("%s shadow tables are left", got)
	}
	if s := r.app.switches; first(s.of(lake.Role)).Paused {
		t.Error("the role lake is still paused")
	}
}

// What is wrong in the table is said before anything is swapped, and mended when
// that is accepted.
func TestRebuildMends(t *testing.T) {
	r := newRebuilds(t, 2000)
	db := r.config.ClickHouse.Database
	right := r.ask(fmt.Sprintf(contents, "", ""))
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices DELETE WHERE _partition = 0 AND _offset = 7 SETTINGS mutations_sync = 1", db))
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices UPDATE price = NULL, bid = 0 WHERE _partition = 0 AND _offset = 9 SETTINGS mutations_sync = 1", db))
	r.exec(fmt.Sprintf("INSERT INTO %[1]s.prices SELECT * FROM %[1]s.prices WHERE _partition = 1 AND _offset = 8", db))
	wrong := r.ask(fmt.Sprintf(contents, "", ""))
	report, status, said := r.rebuild("", RebuildOptions{DryRun: true})
	if d := report.Days[0]; status != 0 || report.Equal || d.Equal || d.Added != 1 || d.Doubled != 1 || d.Changed != 1 || d.Removed != 0 {
		t.Errorf("a dry run ended with %d and says %+v\n%s", status, report.Days, said)
	}
	if report, status, said = r.rebuild("", RebuildOptions{}); status != 3 || len(report.Swapped) > 0 {
		t.Errorf("without --accept it ended with %d and %+v\n%s", status, report, said)
	}
	if got := r.ask(fmt.Sprintf(contents, "", "")); got != wrong {
		t.Errorf("without --accept the table has changed:\n%s\nfrom\n%s", got, wrong)
	}
	if _, status, said = r.rebuild("", RebuildOptions{Partitions: []int32{0}}); status != 1 || !strings.Contains(said, "--restart") {
		t.Errorf("another plan ended with %d: %s", status, said)
	}
	if report, status, said = r.rebuild("", RebuildOptions{Partitions: []int32{0}, Restart: true, Accept: true}); status != 0 {
		t.Fatalf("partition 0 ended with %d and %+v\n%s", status, report, said)
	}
	if report, status, said = r.rebuild("", RebuildOptions{Accept: true}); status != 0 {
		t.Fatalf("all ended with %d and %+v\n%s", status, report, said)
	}
	if got := r.ask(fmt.Sprintf(contents, "", "")); got != right {
		t.Errorf("the table holds\n%s\nwant\n%s", got, right)
	}
	r.wait()
}
