package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// A record whose schema cannot be read as ours stops its partition: /readyz, the
// metric, status and doctor say so, nothing becomes a dead letter, and the other
// partitions and tables go on. Once nobody has to read it any more the table goes
// on, with every other record once.
func TestAnIncompatibleSchemaStopsItsTable(t *testing.T) {
	r := newRebuilds(t, 200)
	subject := pricesSubject(t)
	if err := r.app.registry.SetCompatibility(t.Context(), subject.Name, "NONE"); err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(subject.Schema, `{"name":"provider","type":"string"`, `{"name":"provider","type":"double"`, 1)
	id, err := r.app.registry.Register(t.Context(), subject.Name, wrong)
	if err != nil {
		t.Fatal(err)
	}
	bad := r.price(200, 200) // 200 is even: partition 0
	binary.BigEndian.PutUint32(bad.Value[1:], uint32(id))
	r.send(bad)
	why := fmt.Sprintf("schema %d is not one of Price", id)
	says(t, r.app, why, lake.Role)
	r.publish(201, 301)
	r.send(r.rejected(), r.rejected())
	r.until("the others go on", func() error {
		if got := r.ask("SELECT countIf(_partition = 0), countIf(_partition = 1), (SELECT count() FROM prices_rejected) FROM prices"); got != "100 150 2" {
			return fmt.Errorf("rows are %s", got)
		}
		return nil
	})
	// Those who succeed do not hide the one that does not.
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, reasons := readyz(t, r.app); !strings.Contains(reasons[lake.Role], "prices.v1[0]") || !strings.Contains(reasons[lake.Role], why) {
			t.Fatalf("/readyz says %q", reasons)
		}
		r.send(r.rejected())
	}
	r.says(t, "version 2 of prices.v1-value")
	want := `pricelake_lake_held_up_partitions{topic="prices.v1",waits_for="schema"} 1`
	if text := metricsText(t, r.app); !strings.Contains(text, want) {
		t.Errorf("/metrics lacks %s", want)
	}
	if got := r.ask("SELECT count() FROM dead_letters"); got != "0" {
		t.Errorf("%s dead letters", got)
	}

	// Nobody reads that record, and its producer is gone: the lake is told to pass
	// over it.
	r.stopLake()
	at := stream.TopicPartition{Topic: schemas.TopicPrices, Partition: 0}
	if _, err := r.app.ReleaseQuarantine(t.Context(), at, -1); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("released without an offset: %v", err)
	}
	if q, err := r.app.ReleaseQuarantine(t.Context(), at, 101); err != nil || q.Committed != 101 {
		t.Fatalf("released: %+v, %v", q, err)
	}
	r.app = r.rig.app(r.password)
	r.run(r.app, lake.Role)
	r.until("the rest is loaded", func() error {
		if got := r.ask("SELECT count(), uniqExact(event_id, revision), (SELECT count() FROM dead_letters) FROM prices"); got != "300 300 0" {
			return fmt.Errorf("rows, different ones and dead letters are %s, want 300 300 0", got)
		}
		return nil
	})
	says(t, r.app, "", lake.Role)
	report, err := r.app.Verify(t.Context(), VerifyOptions{Topics: []string{schemas.TopicPrices}, Wait: true})
	if err != nil || report.OK || report.Partitions[0].MissingCount != 1 || report.Partitions[0].Missing[0].First != 100 || report.Partitions[1].MissingCount != 0 {
		t.Errorf("verify does not name what was passed over: %+v, %v", report, err)
	}
}

// A schema that the registry does not know yet, one restored from an older backup
// say, is waited for. Nothing has to be restarted when it does.
func TestASchemaThatIsNotThereIsWaitedFor(t *testing.T) {
	r := newRebuilds(t, 200)
	subject := pricesSubject(t)
	known, err := r.app.registry.Lookup(t.Context(), subject.Name, subject.Schema)
	if err != nil {
		t.Fatal(err)
	}
	id := known + 1 // the registry counts, and others may have been counted since
	for {
		if _, err := r.app.registry.Schema(t.Context(), id); errors.Is(err, avro.ErrNotFound) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		id++
	}
	early := r.price(200, 200)
	binary.BigEndian.PutUint32(early.Value[1:], uint32(id))
	early.Value = append(early.Value, 2, 8, 'X', 'L', 'O', 'N')
	r.send(early)
	says(t, r.app, fmt.Sprintf("schema with the id %d", id), lake.Role)
	r.publish(201, 301)
	at := strings.LastIndex(subject.Schema, "]")
	got, err := r.app.registry.Register(t.Context(), subject.Name, subject.Schema[:at]+`,{"name":"venue","type":["null","string"],"default":null}`+subject.Schema[at:])
	if err != nil || got != id {
		t.Fatalf("the schema got id %d, want %d: %v", got, id, err)
	}
	r.wait()
	if got := r.ask("SELECT count(), uniqExact(event_id, revision), (SELECT count() FROM dead_letters) FROM prices"); got != "301 301 0" {
		t.Errorf("rows, different ones and dead letters are %s, want 301 301 0", got)
	}
	says(t, r.app, "", lake.Role)
	s, err := r.app.Status(t.Context())
	if err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), "passes over: venue") {
		t.Errorf("status warns of %q, %v", s.Warnings, err)
	}
}

// says wants status and doctor to speak of something as a failure.
func (r *rebuilds) says(t *testing.T, want string) {
	t.Helper()
	s, err := r.app.Status(t.Context())
	if err != nil || !strings.Contains(strings.Join(s.Warnings, "\n"), want) {
		t.Errorf("status warns of %q, %v; want %q", s.Warnings, err, want)
	}
	d := r.app.Doctor(t.Context(), DoctorOptions{Timeout: 20 * time.Second, Now: time.Now})
	finds(t, d, VerdictFail, "schemas", want, "cannot be read", "→ stop who writes it")
}

func metricsText(t *testing.T, a *App) string {
	t.Helper()
	w := httptest.NewRecorder()
	(&ops.Admin{Health: a.health, Metrics: a.metrics}).Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func pricesSubject(t *testing.T) avro.Subject {
	t.Helper()
	for _, s := range avro.Schemas() {
		if s.Topic == schemas.TopicPrices {
			return s
		}
	}
	t.Fatal("there is no schema of prices")
	return avro.Subject{}
}

// rejected is a record of another topic.
func (r *rebuilds) rejected() stream.Record {
	r.t.Helper()
	enc, err := codec[schemas.PriceRejected](r.t.Context(), r.app, schemas.TopicRejected)
	if err != nil {
		r.t.Fatal(err)
	}
	r.others++
	v := schemas.PriceRejected{RejectID: schemas.DeriveID("rejected", fmt.Sprint(r.others)), Provider: "kraken", FetchedAt: time.Date(2026, 1, 28, 0, 0, 0, 0, time.UTC)}
	value, err := enc.Append(nil, &v)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream.Record{Topic: schemas.TopicRejected, Partition: int32(r.others % 2), Key: []byte("X"), Value: value}
}

func (r *rebuilds) until(what string, check func() error) {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for err := check(); err != nil; err = check() {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
