package app

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Two rebuilds of a table at once: the second waits for the first, then does its
// own. Neither fails, and the table holds what it held.
func TestTwoRebuildsAtOnce(t *testing.T) {
	r := newRebuilds(t, 3000)
	before := r.ask(fmt.Sprintf(contents, "", ""))
	stop := r.reader()
	// Each of these is where the other would do harm: what is being loaded, staged
	// or swapped is in tables that both would use.
	for _, p := range []failpoint.Point{failpoint.RebuildLoaded, failpoint.RebuildSwap} {
		one := r.begin(string(p)+"=delay:5s", RebuildOptions{})
		one.at(p)
		two := r.begin("", RebuildOptions{})
		first, status, said := one.end()
		if status != 0 || !first.Equal || first.Resumed {
			t.Errorf("%s: the first ended with %d: %+v\n%s", p, status, first, said)
		}
		second, status, said := two.end()
		if status != 0 || !second.Equal || second.Resumed || second.Epoch != first.Epoch+1 {
			t.Errorf("%s: the second ended with %d: %+v\n%s", p, status, second, said)
		}
	}
	r.wait()
	t.Logf("a reader asked %d times", stop())
	if after := r.ask(fmt.Sprintf(contents, "", "")); after != before {
		t.Errorf("the table holds\n%s\nit held\n%s", after, before)
	}
}

// A rebuild that freezes in the middle of the swap is gone on with by another
// process. When it wakes it ends, and harms nothing.
func TestARebuildThatWakes(t *testing.T) {
	r := newRebuilds(t, 3000)
	before := r.ask(fmt.Sprintf(contents, "", ""))
	frozen := r.begin("rebuild.swap=stop", RebuildOptions{})
	frozen.at(failpoint.RebuildSwap)
	report, status, said := r.rebuild("", RebuildOptions{})
	if status != 0 || !report.Resumed || !report.Equal {
		t.Fatalf("the second ended with %d: %+v\n%s", status, report, said)
	}
	r.publish(3000, 3100)
	r.wait()
	if err := frozen.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if report, status, said := frozen.end(); status != 1 {
		t.Errorf("the first woke and ended with %d: %+v\n%s", status, report, said)
	}
	r.wait()
	if after := r.ask(fmt.Sprintf(contents, "", "WHERE NOT (_partition IN (0, 1) AND _offset >= 1500)")); after != before {
		t.Errorf("the table holds\n%s\nit held\n%s", after, before)
	}
	if got := r.ask("SELECT count(), uniqExact(event_id, revision) FROM prices"); got != "3100 3100" {
		t.Errorf("rows and different ones are %s", got)
	}
	if first(r.app.switches.of(lake.Role)).Paused {
		t.Error("the role lake is paused")
	}
}

// What retention takes while a rebuild runs keeps its rows, whether it was loaded
// by then or not, and is no difference.
func TestRetentionEatsWhileARebuildRuns(t *testing.T) {
	const events = 3000
	r := newRebuilds(t, events)
	before := r.ask(fmt.Sprintf(contents, "", ""))
	run := r.begin("rebuild.loaded=delay:3s", RebuildOptions{})
	run.at(failpoint.RebuildLoaded) // of one partition; the other may be under way
	r.forget(0, 700)
	r.forget(1, 900)
	r.publish(events, events+200)
	if report, status, said := run.end(); status != 0 || !report.Equal {
		t.Fatalf("it ended with %d: %+v\n%s", status, report, said)
	}

	// Nothing of them is loaded: killed, and gone on with when they are gone.
	if report, status, said := r.rebuild("rebuild.loaded=kill", RebuildOptions{}); status != -1 {
		t.Fatalf("it ended with %d: %+v\n%s", status, report, said)
	}
	r.until("the server is done with what was sent", func() error {
		if n := r.ask("SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND startsWith(query, 'INSERT INTO rebuild_prices')"); n != "0" {
			return fmt.Errorf("%s inserts run", n)
		}
		return nil
	})
	r.exec(fmt.Sprintf("TRUNCATE TABLE %s.rebuild_prices", r.config.ClickHouse.Database))
	r.forget(0, 1200)
	r.forget(1, 1250)
	report, status, said := r.rebuild("", RebuildOptions{})
	if status != 0 || !report.Equal || !report.Resumed {
		t.Fatalf("it ended with %d: %+v\n%s", status, report, said)
	}
	var kept, loaded uint64
	for _, s := range report.Swapped {
		kept, loaded = kept+s.Kept, loaded+s.Loaded
	}
	if want := uint64(1200 + 1250); kept != want || loaded != events+200-want {
		t.Errorf("%d rows were kept and %d loaded, want %d and %d: %+v\n%s", kept, loaded, want, events+200-want, report.Swapped,
			r.ask("SELECT _partition, _lake_epoch, count(), min(_offset), max(_offset) FROM prices GROUP BY ALL ORDER BY ALL"))
	}
	r.wait()
	if after := r.ask(fmt.Sprintf(contents, "", "WHERE NOT (_partition IN (0, 1) AND _offset >= "+strconv.Itoa(events/2)+")")); after != before {
		t.Errorf("the table holds\n%s\nit held\n%s", after, before)
	}
	if got := r.ask("SELECT count(), uniqExact(event_id, revision) FROM prices"); got != "3200 3200" {
		t.Errorf("rows and different ones are %s", got)
	}
}

// Rows that a process of the role lake wrote into the partitions that were
// replaced, because it had not heard of the pause, are written again. They lie in
// more ranges than a report names.
func TestRebuildHeals(t *testing.T) {
	r := newRebuilds(t, 2000)
	run := r.begin("rebuild.loaded=delay:8s;rebuild.swapped=delay:6s@2", RebuildOptions{})
	run.at(failpoint.RebuildLoaded)
	r.publish(2000, 10_000) // above what the rebuild covers
	r.wait()
	const all = "SELECT count(), uniqExact(event_id, revision), sum(cityHash64(toString(tuple(* EXCEPT (inserted_at, _lake_epoch))))) FROM prices"
	whole := r.ask(all)
	run.at(failpoint.RebuildSwapped) // the last month is swapped
	// What came into the old partition after it was copied is gone with it.
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices DELETE WHERE _offset >= 1000 AND _offset %% 2 = 0 SETTINGS mutations_sync = 1", r.config.ClickHouse.Database))
	report, status, said := run.end()
	if status != 0 || report.Healed != 4000 {
		t.Fatalf("it ended with %d, and wrote %d rows again: %s", status, report.Healed, said)
	}
	r.wait()
	if got := r.ask(all); got != whole {
		t.Errorf("the table holds %s, it held %s", got, whole)
	}
}

// A rebuild that was begun before the table got a column, or by another version,
// is not gone on with.
func TestARebuildIsOfOneVersion(t *testing.T) {
	r := newRebuilds(t, 400)
	db := r.config.ClickHouse.Database
	refused := func(why string) {
		t.Helper()
		if _, status, said := r.rebuild("", RebuildOptions{Accept: true}); status != 1 || !strings.Contains(said, why) || !strings.Contains(said, "--restart") {
			t.Errorf("it ended with %d, want %q: %s", status, why, said)
		}
	}
	if _, status, said := r.rebuild("rebuild.loaded=kill", RebuildOptions{}); status != -1 {
		t.Fatalf("it ended with %d: %s", status, said)
	}
	r.exec(fmt.Sprintf("ALTER TABLE %s.prices ADD COLUMN volume Nullable(Decimal(38, 18)) AFTER correlation_id", db))
	refused("other columns")
	if _, status, said := r.rebuild("rebuild.loaded=kill", RebuildOptions{Restart: true}); status != -1 {
		t.Fatalf("it ended with %d: %s", status, said)
	}
	r.exec(fmt.Sprintf(`INSERT INTO %[1]s.rebuilds SELECT * REPLACE (replaceAll(plan, '"transform":%[2]d', '"transform":%[3]d') AS plan, now64(6) AS at) FROM (SELECT * FROM %[1]s.rebuilds ORDER BY at DESC LIMIT 1)`,
		db, lake.Transform, lake.Transform+1))
	refused("another version")
	if report, status, said := r.rebuild("", RebuildOptions{Restart: true}); status != 0 || !report.Equal {
		t.Errorf("with --restart it ended with %d: %+v\n%s", status, report, said)
	}
	if got := r.ask("SELECT count(), uniqExact(event_id, revision) FROM prices"); got != "400 400" {
		t.Errorf("rows and different ones are %s", got)
	}
}
