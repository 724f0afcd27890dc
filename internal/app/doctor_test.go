package app

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/embed/embedtest"
	"github.com/pricelake/pricelake/internal/secure/securetest"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// examine is doctor with the configuration as it is now.
func (r *rig) examine(roles ...string) Diagnosis {
	r.t.Helper()
	return r.app("w").Doctor(r.t.Context(), DoctorOptions{Roles: roles, Timeout: 10 * time.Second, Now: time.Now})
}

// finds fails unless there is a finding with the verdict whose line (area, check,
// subject, text, arrow, remedy) holds all the words.
func finds(t *testing.T, d Diagnosis, verdict Verdict, words ...string) {
	t.Helper()
	var lines []string
	for _, f := range d.Findings {
		line := strings.Join([]string{f.Area, f.Check, f.Subject, f.Text, "→", f.Remedy}, " ")
		holds := !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		if f.Verdict == verdict && holds {
			return
		}
		lines = append(lines, string(f.Verdict)+" "+line)
	}
	t.Errorf("no finding %s with %q in\n%s", verdict, words, strings.Join(lines, "\n"))
}

// failures are the findings that failed.
func failures(d Diagnosis) []Finding {
	return slices.DeleteFunc(slices.Clone(d.Findings), func(f Finding) bool { return f.Verdict != VerdictFail })
}

// withServers starts everything, and sets nothing up.
func (r *rig) withServers() *embed.ClickHouse {
	r.t.Helper()
	r.startBroker()
	r.startRegistry()
	dir := r.t.TempDir()
	users(r.t, dir, map[string]string{accounts.Migrator: "m", accounts.Writer: "w", accounts.Reader: "r"})
	server := embedtest.WithUsers(r.t, dir)
	r.config.ClickHouse.Addr, r.config.ClickHouse.User = server.NativeAddr(), accounts.Writer
	return server
}

func (r *rig) migrate() {
	r.t.Helper()
	c := r.config
	r.config.ClickHouse.User = accounts.Migrator
	defer func() { r.config = c }()
	if _, err := r.app("m").Migrate(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// Every mistake is named with its remedy, and its mending is noticed.
func TestDoctor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.withServers()

	d := r.examine()
	finds(t, d, VerdictFail, "topics", schemas.TopicPrices, "does not exist", "→ run `pricelake topics apply`")
	finds(t, d, VerdictFail, "schemas", schemas.TopicPrices+"-value", "not registered", "→ run `pricelake schemas register`")
	finds(t, d, VerdictFail, "migrations", "00001_prices.sql", "→ run `pricelake migrate`")
	if d.OK {
		t.Error("nothing is set up, and the diagnosis is good")
	}

	r.applyTopics()
	r.registerOld(t)
	r.migrate()
	d = r.examine()
	finds(t, d, VerdictFail, "schemas", schemas.TopicPrices+"-value", "old schema", "1 version", "→ run `pricelake schemas register`")
	finds(t, d, VerdictOK, "migrations", "every migration")
	finds(t, d, VerdictWarn, "groups", "pricelake.lake", "nobody works", "→ start it: `pricelake run lake`")

	r.registerSchemas()
	d = r.examine()
	if bad := failures(d); len(bad) > 0 || !d.OK {
		t.Errorf("all is set up, and doctor finds %+v", bad)
	}
	for _, area := range areas() {
		finds(t, d, VerdictOK, area)
	}
	documented(t, d)
	finds(t, r.examine("lake"), VerdictFail, "groups", "pricelake.lake", "→ start it: `pricelake run lake`")

	t.Run("status", func(t *testing.T) { r.statusNamesTheGroups(t) })
	t.Run("topics", func(t *testing.T) { r.topicsOff(t) })
	t.Run("lake", func(t *testing.T) { r.lakeOff(t, server) })
	t.Run("accounts", func(t *testing.T) { r.accountsOff(t) })
}

// documented fails when a check is not in the table of docs/doctor.md.
func documented(t *testing.T, d Diagnosis) {
	t.Helper()
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range d.Findings {
		found := false
		for line := range strings.Lines(string(text)) {
			area, rest, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			checks, _, _ := strings.Cut(rest, " | ")
			found = found || area == f.Area && slices.Contains(strings.Split(checks, ", "), f.Check)
		}
		if !found {
			t.Errorf("docs/doctor.md does not say what check %s of %s is about", f.Check, f.Area)
		}
	}
}

// registerOld registers an earlier version of the schema of prices, one that
// lacks a field with a default.
func (r *rig) registerOld(t *testing.T) {
	t.Helper()
	a := r.app("")
	for _, s := range avro.Schemas() {
		if s.Topic != schemas.TopicPrices {
			continue
		}
		field := strings.Index(s.Schema, `{"name":"trade_id"`)
		end := strings.Index(s.Schema[field:], `},`) + field + 2
		patiently(t, func() error {
			_, err := a.registry.Register(t.Context(), s.Name, s.Schema[:field]+s.Schema[end:])
			return err
		})
	}
}

// topicsOff alters topics as somebody may who does not know them.
func (r *rig) topicsOff(t *testing.T) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	alter := func(topic, name, value string) {
		t.Helper()
		answers, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
		if err == nil {
			_, err = answers.On(topic, func(a *kadm.AlterConfigsResponse) error { return a.Err })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	alter(schemas.TopicCalls, "cleanup.policy", "delete")
	if err := r.app("").checkSources(t.Context()); err != nil {
		t.Errorf("topics as described cannot be loaded: %v", err)
	}
	alter(schemas.TopicPolls, "retention.ms", "60000")
	alter(schemas.TopicRejected, "retention.ms", "90000000")
	if err := r.app("").checkSources(t.Context()); err == nil || !strings.Contains(err.Error(), schemas.TopicPolls) || strings.Contains(err.Error(), schemas.TopicRejected) {
		t.Errorf("a role starts with topics that forget within a minute: %v", err)
	}
	if _, err := admin.DeleteTopic(t.Context(), schemas.TopicPrices); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(t.Context(), 5, 1, nil, schemas.TopicPrices); err != nil {
		t.Fatal(err)
	}
	d := r.examine()
	finds(t, d, VerdictFail, "topics", schemas.TopicCalls, "cleanup.policy is delete instead of compact", "→ run `pricelake topics apply`")
	finds(t, d, VerdictFail, "topics", schemas.TopicPolls, "retention.ms is 60000", "→ run `pricelake topics apply`")
	finds(t, d, VerdictWarn, "topics", schemas.TopicRejected, "retention.ms is 90000000", "→ run `pricelake topics apply`")
	finds(t, d, VerdictFail, "topics", schemas.TopicPrices, "message.timestamp.type", "LogAppendTime")
	finds(t, d, VerdictWarn, "topics", schemas.TopicPrices, "5 partitions, the configuration says 1", "→ set kafka.partitions to 5")
	finds(t, d, VerdictFail, "topics", schemas.TopicPrices, "they must be equal")
}

// lakeOff takes a migration away, adds one of the future, and takes the window of
// a table.
func (r *rig) lakeOff(t *testing.T, server *embed.ClickHouse) {
	run := func(statement string) {
		t.Helper()
		if err := server.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	run("ALTER TABLE pricelake.polls MODIFY SETTING non_replicated_deduplication_window = 0")
	run("INSERT INTO pricelake.migrations (version_id, is_applied) VALUES (77, 1)")
	d := r.examine()
	finds(t, d, VerdictWarn, "migrations", "a newer version of pricelake", "77", "→ run the newer version")
	finds(t, d, VerdictFail, "settings", "table polls remembers the tokens of the last 0 inserts")
	run("ALTER TABLE pricelake.migrations DELETE WHERE version_id = 9 SETTINGS mutations_sync = 1")
	finds(t, r.examine(), VerdictFail, "migrations", "lacks 00009_watch.sql", "→ run `pricelake migrate`")
}

// accountsOff uses accounts for what they are not made for, and passwords that
// are wrong.
func (r *rig) accountsOff(t *testing.T) {
	defer func(c config.Config) { r.config = c }(r.config)
	r.config.ClickHouse.User = accounts.Reader
	d := r.app("r").Doctor(t.Context(), DoctorOptions{Timeout: 10 * time.Second, Now: time.Now})
	finds(t, d, VerdictFail, "rights", accounts.Reader, "INSERT ON pricelake.prices", "→ give it the rights of deploy/clickhouse")
	r.config.ClickHouse.User = accounts.Writer
	d = r.app("wrong").Doctor(t.Context(), DoctorOptions{Timeout: 10 * time.Second, Now: time.Now})
	finds(t, d, VerdictFail, "clickhouse login", "authentication failed", "→ check clickhouse.user and", "clickhouse.password refers")
	for _, f := range failures(d) {
		if strings.Contains(f.Text, f.Remedy) {
			t.Errorf("the remedy is said twice: %s → %s", f.Text, f.Remedy)
		}
	}
	r.config.ClickHouse.ReaderUser = accounts.Reader // its password is not given: refused as well
	d = r.app("wrong").Doctor(t.Context(), DoctorOptions{Timeout: 10 * time.Second, Now: time.Now})
	finds(t, d, VerdictFail, "clickhouse rights", "authentication failed", accounts.Reader, "→ check clickhouse.reader_user and")
}

// statusNamesTheGroups: every role that can be paused has its group in `status`,
// and the scheduler, which commits nothing, is not behind.
func (r *rig) statusNamesTheGroups(t *testing.T) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.TopicCalls, Key: []byte("gone")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s, err := r.app("w").Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range PausableRoles() {
		at := slices.IndexFunc(s.Groups, func(g GroupStatus) bool { return g.Group == groupOf(role) })
		if at < 0 {
			t.Errorf("status does not show the group of role %s: %+v", role, s.Groups)
			continue
		}
		if g := s.Groups[at]; g.Group == schedulerGroup && (g.Topic != schemas.TopicCalls || g.Lag != 0) {
			t.Errorf("the scheduler is %d behind in %s", g.Lag, g.Topic)
		}
		if warning := "nobody works for group " + groupOf(role); !slices.Contains(s.Warnings, warning) {
			t.Errorf("no warning %q in %q", warning, s.Warnings)
		}
	}
}

// Servers that are not there or do not answer are named, each by itself, within
// the time a check may take.
func TestDoctorWithoutServers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.config.Kafka.Brokers = []string{"nowhere.invalid:9092"}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r.config.ClickHouse.Addr = silent.Addr().String()
	began := time.Now()
	d := r.app("w").Doctor(t.Context(), DoctorOptions{Timeout: time.Second, Now: time.Now})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	finds(t, d, VerdictFail, "kafka address", "nowhere.invalid", "→ correct kafka.brokers")
	finds(t, d, VerdictFail, "registry address", "connection refused", "→ start the server, or correct registry.url")
	finds(t, d, VerdictFail, "clickhouse login", "no answer in time", "→ on a busy machine ask again with --timeout 6s; else look at the server's log")
}

// What TLS has to say reaches the one who reads.
func TestDoctorNamesCertificates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.startBroker()
	r.startRegistry()
	server := embedtest.ClickHouse(t)
	r.config.ClickHouse.Addr, r.config.ClickHouse.User = server.NativeAddr(), server.Owner().User
	examine := func() Diagnosis {
		return r.app(server.Owner().Password).Doctor(t.Context(), DoctorOptions{Timeout: 10 * time.Second, Now: time.Now})
	}
	ca := securetest.NewAuthority(t, "test authority")
	over := func(target string, ends time.Time) string {
		certificate := ca.Issue("server", ends)
		return securetest.Proxy(t, &tls.Config{Certificates: []tls.Certificate{certificate.TLS}, MinVersion: tls.VersionTLS12}, target)
	}
	expired, valid := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	secured := config.TLS{Enabled: true, CAFile: ca.File}
	r.config.Kafka.TLS, r.config.Registry.TLS, r.config.ClickHouse.TLS = secured, secured, secured
	r.config.Kafka.Brokers = []string{over(r.config.Kafka.Brokers[0], expired)}
	r.config.Registry.URL = "https://" + over(strings.TrimPrefix(r.config.Registry.URL, "http://"), expired)
	plain := r.config.ClickHouse.Addr
	r.config.ClickHouse.Addr = over(plain, expired)
	d := examine()
	for _, area := range []string{areaKafka, areaRegistry, areaClickHouse} {
		finds(t, d, VerdictFail, area+" login", "expired on", "→ renew it there")
	}
	r.config.ClickHouse.Addr = over(plain, valid)
	finds(t, examine(), VerdictOK, "clickhouse login", "is let in")
	r.config.ClickHouse.TLS.CAFile = ""
	finds(t, examine(), VerdictFail, "clickhouse login", "signed by an authority that is not known here", "→ name the authority's PEM file in clickhouse.tls.ca_file")
}

// A clock that is off is a warning, and then a failure.
func TestDoctorJudgesClocksAndDisks(t *testing.T) {
	d := &doctor{}
	q := question{d, areaMachine, "test"}
	for _, ahead := range []time.Duration{0, -300 * time.Millisecond, 2 * time.Second, -2 * time.Second, 2 * time.Minute} {
		q.clock("server", ahead)
	}
	q.space("disk", "make room", 100<<30, 200<<30)
	q.space("disk", "make room", 10<<30, 200<<30)
	q.space("disk", "make room", 1<<29, 0)
	var got []string
	for _, f := range d.findings {
		got = append(got, string(f.Verdict))
	}
	if want := "ok ok warn warn fail ok warn fail"; strings.Join(got, " ") != want {
		t.Errorf("verdicts %v, want %s\n%s", got, want, fmt.Sprint(d.findings))
	}
	if text := d.findings[3].Text; text != "its clock is 2s behind this machine's" {
		t.Errorf("behind: %q", text)
	}
}
