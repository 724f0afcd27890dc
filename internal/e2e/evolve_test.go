package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/schemas"
)

// TestWritersMoveOn: under load a second producer begins to write prices with one
// more optional field, in the same partitions as the first. The lake goes on
// without a restart and names the field. Then an operator upgrades as
// docs/upgrade.md says, and rebuilds the table: the values are there, wherever the
// log still has them, all else is as it was, and nobody has seen a part of it.
func TestWritersMoveOn(t *testing.T) {
	t.Parallel()
	writersMoveOn(t, embeddedSite(t, t.TempDir()), nextVersion(t))
}

const (
	evolveEvery = 100 * time.Millisecond
	evolveBatch = 400 // records every evolveEvery: 4,000 a second
	evolveAlone = 30  // batches of the old producer alone
	evolveBoth  = 100 // batches of both: ten seconds
)

func writersMoveOn(t *testing.T, s *site, next string) {
	catalog := quietCatalog(t)
	u := s.start("--catalog", catalog)
	w := newWriters(t, u)
	reader := watchTable(t, u)
	w.write(evolveAlone)
	w.register(u)
	w.write(evolveBoth)
	eventually(t, 60*time.Second, "every price is a row", func() error { return atLeast(u, w.made) })
	w.compare(u, nil)
	if out, err := u.tool("status", "--json"); err != nil || !strings.Contains(out, "passes over: volume") {
		t.Errorf("status does not name the field: %v\n%s", err, out)
	}
	if out, err := u.tool("doctor"); err != nil || !strings.Contains(out, "passes over: volume") {
		t.Errorf("doctor does not name the field: %v\n%s", err, out)
	}
	if n := u.metric(`pricelake_lake_unknown_fields_total{field="volume",table="prices"}`); n < float64(w.widened) {
		t.Errorf("%v rows had a field that is not known, want %d or more", n, w.widened)
	}
	before := w.digests(u, "")

	// The upgrade. Old producers and new ones go on.
	reader.pause()
	u = s.upgrade(u, next, catalog)
	reader.follow(u, w.before)
	gone := w.forget(u)
	w.begin(u)
	w.write(20)
	stop := w.keepWriting()
	out, err := u.tool("rebuild", "prices", "--json")
	if !strings.Contains(fmt.Sprint(err), "exit status 3") {
		t.Fatalf("a rebuild that changes rows was not held back: %v\n%s", err, out)
	}
	if out, err = u.tool("rebuild", "prices", "--accept", "--json"); err != nil {
		t.Fatalf("rebuild: %v\n%s", err, out)
	}
	stop()
	var report app.RebuildReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Swapped) != 2 {
		t.Errorf("it swapped %+v, %v: want two months", report.Swapped, err)
	}
	if out, err := u.tool("verify", "--wait", "--topic", schemas.TopicPrices); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	w.compare(u, gone)
	if after := w.digests(u, "volume, "); !slices.Equal(after, before) {
		t.Errorf("the rows of before the upgrade say, but for the volume, %v; they said %v", after, before)
	}
	reader.done()
}

// program is the binary that the site runs.
func (s *site) program() string {
	s.t.Helper()
	if s.binary != "" {
		return s.binary
	}
	return pricelake(s.t)
}

// upgrade stops an `up` and starts another version of it, which sets itself up.
func (s *site) upgrade(u *up, binary, catalog string) *up {
	s.t.Helper()
	s.binary = binary
	if _, err := u.Stop(); err != nil {
		s.t.Fatalf("%v\n%s", err, u.Stderr())
	}
	return s.start("--catalog", catalog)
}

// tableWatch is a reader who asks all the time.
type tableWatch struct {
	t       *testing.T
	mu      sync.Mutex
	lake    *app.Endpoints // nil: there is none to ask
	before  int64          // prices of before the upgrade; 0: before it
	rows    int
	volumes map[string][]int // that were seen, by month
	asked   int
	stop    func()
}

func watchTable(t *testing.T, u *up) *tableWatch {
	r := &tableWatch{t: t, lake: &u.Ready, volumes: map[string][]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			r.ask()
			time.Sleep(10 * time.Millisecond)
		}
	})
	r.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(r.stop)
	return r
}

// pause makes the reader ask nothing until follow is called.
func (r *tableWatch) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lake = nil
}

// follow makes the reader ask for volumes too, of the prices before that number.
func (r *tableWatch) follow(u *up, before int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lake, r.before = &u.Ready, before
}

// ask asks once, and fails the test when rows are missing or doubled.
func (r *tableWatch) ask() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lake == nil {
		return
	}
	rows, err := queryHTTP(*r.lake, "SELECT count() AS n, uniqExact(event_id, revision) AS d FROM prices")
	if err != nil {
		r.t.Errorf("a reader: %v", err)
		r.lake = nil
		return
	}
	c := cells(rows[0])
	if n := c.number("n"); n != c.number("d") || n < r.rows {
		r.t.Errorf("a reader sees %d rows, %d different, after %d", n, c.number("d"), r.rows)
	}
	r.rows = c.number("n")
	r.asked++
	if r.before > 0 {
		r.askVolumes()
	}
}

// askVolumes looks how many of the earlier prices have a volume.
func (r *tableWatch) askVolumes() {
	rows, err := queryHTTP(*r.lake, fmt.Sprintf("SELECT toString(toYYYYMM(event_time)) AS month, countIf(isNotNull(volume)) AS n FROM prices WHERE toInt64(trade_id) < %d GROUP BY month", r.before))
	if err != nil {
		r.t.Errorf("a reader: %v", err)
		return
	}
	for _, row := range rows {
		c := cells(row)
		if month, n := c.text("month"), c.number("n"); !slices.Contains(r.volumes[month], n) {
			r.volumes[month] = append(r.volumes[month], n)
		}
	}
}

// done ends the reader. Of each month it must have seen no volume, then all of
// them, and nothing between.
func (r *tableWatch) done() {
	r.t.Helper()
	r.stop()
	if len(r.volumes) != 2 || r.asked < 20 {
		r.t.Errorf("the reader asked %d times, of %d months", r.asked, len(r.volumes))
	}
	for month, seen := range r.volumes {
		if len(seen) != 2 || seen[0] != 0 || seen[1] == 0 {
			r.t.Errorf("of %s the reader saw %v volumes, want none and then all", month, seen)
		}
	}
	r.t.Logf("a reader asked %d times; volumes by month: %v", r.asked, r.volumes)
}
