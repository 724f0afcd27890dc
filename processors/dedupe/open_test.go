package dedupe

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// seeded is a rig with three events published and its process stopped.
func seeded(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, 1)
	r.start()
	s := r.open(0)
	r.run(s, input(t, 0, fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 1, "1")), true)
	r.run(s, input(t, 0, fixing("EUR-USD", 1, "2"), fixing("EUR-USD", 2, "1")), true)
	mustClose(t, s)
	t.Cleanup(r.stop)
	return r
}

// replayed opens the stage anew and returns what of the three events passes
// again.
func (r *rig) replayed() []string {
	r.t.Helper()
	s := r.open(0)
	defer mustClose(r.t, s)
	return told(r.prices(r.run(s, input(r.t, 0,
		fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 1, "2"), fixing("EUR-USD", 2, "1")), true)))
}

func (r *rig) stateDir() string {
	r.t.Helper()
	names, err := r.fs.List(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".unusable") })
	if len(names) != 1 {
		r.t.Fatalf("the state directory holds %q, want one store", names)
	}
	return path.Join(r.dir, names[0])
}

func (r *rig) wantMetric(name string, want float64) {
	r.t.Helper()
	if got := r.metric(name); got != want {
		r.t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func TestOpenAgain(t *testing.T) {
	r := seeded(t)
	r.start()
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	r.wantMetric("pricelake_dedupe_state_replayed_total", 0)
}

func TestOpenWithoutState(t *testing.T) {
	r := seeded(t)
	r.fs = vfs.NewCrashableMem() // another machine
	r.start()
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published again: %q", got)
	}
	r.wantMetric("pricelake_dedupe_state_replayed_total", 4)
	r.wantMetric("pricelake_dedupe_state_gap_total", 0)
}

func TestOpenWithGap(t *testing.T) {
	r := seeded(t)
	r.fs = vfs.NewCrashableMem()
	r.log.retain(0, 3) // the first transaction: two records and its marker
	r.start()
	got := r.replayed()
	if want := []string{"EUR-USD 01-01 r0 1"}; !slices.Equal(got, want) {
		t.Errorf("published again: %q, want %q: only what retention removed", got, want)
	}
	r.wantMetric("pricelake_dedupe_state_gap_total", 3)
}

// What another owner published meanwhile counts when retention has removed it.
func TestOpenWithGapBehindTheState(t *testing.T) {
	for _, c := range []struct {
		retained, gap int64
	}{{5, 0}, {6, 0}, {7, 1}, {9, 3}} {
		r := seeded(t) // its records end at 5, their marker is offset 5
		rs := input(t, 0, fixing("EUR-USD", 3, "1"), fixing("EUR-USD", 4, "1")).Records
		for i := range rs {
			rs[i].Topic = schemas.TopicPrices
		}
		r.log.transact(0, rs, true)
		r.log.retain(0, c.retained)
		r.start()
		s := r.open(0)
		r.wantMetric("pricelake_dedupe_state_gap_total", float64(c.gap))
		mustClose(t, s)
		r.start()
		mustClose(t, r.open(0)) // told once
		r.wantMetric("pricelake_dedupe_state_gap_total", 0)
	}
}

func TestOpenAfterTheTopicWasMadeAnew(t *testing.T) {
	r := seeded(t)
	r.log = newFakeLog(1)
	r.log.id[0]++
	r.start()
	old := r.stateDir()
	_, err := r.d.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved})
	if !errors.Is(err, ErrRecreated) || !strings.Contains(err.Error(), old) {
		t.Fatalf("opening gave %v, want that the topic was made anew, and which directory to move away", err)
	}
	if err := r.fs.Rename(old, old+".of-old"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.d.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved}); !errors.Is(err, ErrRecreated) {
		t.Fatalf("moved within the state directory: opening gave %v", err)
	}
	if err := r.fs.Rename(old+".of-old", "/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if got := r.replayed(); len(got) != 3 {
		t.Errorf("published %q, want all three: the new topic has none of them", got)
	}
}

// A broker whose disk lost its last writes has less than the state has seen.
func TestOpenAfterTheLogLostItsEnd(t *testing.T) {
	r := seeded(t)
	r.log.lose(0, 3) // the second transaction
	r.start()
	got := r.replayed()
	if want := []string{"EUR-USD 01-02 r1 2", "EUR-USD 01-03 r0 1"}; !slices.Equal(got, want) {
		t.Errorf("published again: %q, want %q: what was lost, under its old revision", got, want)
	}
	r.wantMetric("pricelake_dedupe_state_receded_total", 2)
	r.start()
	if got := r.replayed(); len(got) > 0 {
		t.Errorf("published once more: %q", got)
	}
}

func TestOpenDamaged(t *testing.T) {
	write := func(r *rig, name, content string) {
		f, err := r.fs.Create(path.Join(r.stateDir(), name), vfs.WriteCategoryUnspecified)
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			r.t.Fatal(err)
		}
		mustClose(r.t, f)
	}
	each := func(part string, do func(r *rig, name string)) func(r *rig) {
		return func(r *rig) {
			names, err := r.fs.List(r.stateDir())
			if err != nil {
				r.t.Fatal(err)
			}
			n := 0
			for _, name := range names {
				if strings.Contains(name, part) {
					do(r, name)
					n++
				}
			}
			if n == 0 {
				r.t.Fatalf("no %s among %q", part, names)
			}
		}
	}
	for name, damage := range map[string]func(r *rig){
		"manifest of garbage":             each("MANIFEST-", func(r *rig, n string) { write(r, n, strings.Repeat("garbage ", 100)) }),
		"no manifest and no marker of it": each("MANIFEST-", func(r *rig, n string) { _ = r.fs.Remove(path.Join(r.stateDir(), n)) }),
		"no manifest": each("MANIFEST-", func(r *rig, n string) {
			if !strings.HasPrefix(n, "marker") {
				_ = r.fs.Remove(path.Join(r.stateDir(), n))
			}
		}),
		"no table": each(".sst", func(r *rig, n string) { _ = r.fs.Remove(path.Join(r.stateDir(), n)) }),
		"another version": func(r *rig) {
			db, err := pebble.Open(r.stateDir(), &pebble.Options{FS: r.fs, Logger: storeLog{r.d.config.Logger}})
			if err != nil {
				r.t.Fatal(err)
			}
			if err := db.Set([]byte(checkpointKey), []byte{formatVersion + 1}, nil); err != nil {
				r.t.Fatal(err)
			}
			mustClose(r.t, db)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := seeded(t)
			r.start()
			s := r.open(0)
			if err := s.(*partition).state.db.Flush(); err != nil { // so that there is a table
				t.Fatal(err)
			}
			mustClose(t, s)
			damage(r)
			var logged strings.Builder
			r.logged = &logged
			r.start()
			if got := r.replayed(); len(got) > 0 {
				t.Errorf("published again: %q", got)
			}
			r.wantMetric("pricelake_dedupe_state_discarded_total", 1)
			if _, err := r.fs.Stat(r.stateDir() + ".unusable"); err != nil {
				t.Errorf("the damaged store is gone: %v", err)
			}
			if !strings.Contains(logged.String(), "moved_to=") {
				t.Errorf("the log does not say where it is:\n%s", &logged)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	r := newRig(t, 2)
	r.start()
	defer r.stop()
	open := func(p int32) error {
		s, err := r.d.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved, Partition: p})
		if err == nil {
			mustClose(t, s)
		}
		return err
	}
	if err := open(2); err == nil || !strings.Contains(err.Error(), "same number") {
		t.Errorf("a partition without counterpart: got %v", err)
	}
	r.log.broken = errBroken
	if err := open(0); !errors.Is(err, errBroken) {
		t.Errorf("a log that cannot be read: got %v", err)
	}
	r.log.broken = nil
	if err := open(0); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestOpenInUse(t *testing.T) {
	r := newRig(t, 1)
	r.fs, r.dir = vfs.Default, t.TempDir()
	r.start()
	defer r.stop()
	s := r.open(0)
	defer mustClose(t, s)
	if _, err := r.d.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved}); err == nil {
		t.Error("a store was opened twice")
	}
}

// TestCrashKeepsAWholePrefix cuts the power while the store writes, flushes and
// compacts: what is left must be the entries below the checkpoint that is left,
// all of them and no others.
func TestCrashKeepsAWholePrefix(t *testing.T) {
	const batches, size = 40, 1500
	rng := rand.New(rand.NewPCG(5, 8))
	disk := vfs.NewCrashableMem()
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	open := func(fs vfs.FS) *state { return mustOpenState(t, fs, cache) }
	s := open(disk)
	for n := range batches {
		changes := make([]change, size)
		for i := range changes {
			offset := int64(n*size + i)
			changes[i] = change{eventID(offset), entry{offset: offset, values: 1}}
		}
		if err := s.apply(changes, checkpoint{next: int64((n + 1) * size)}, rng.IntN(10) == 0); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(6) > 0 {
			continue
		}
		left := open(disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}))
		if left.at.next > int64((n+1)*size) || left.at.next%size != 0 {
			t.Fatalf("after batch %d the checkpoint is %d", n, left.at.next)
		}
		for _, offset := range []int64{0, left.at.next / 2, left.at.next - 1, left.at.next, left.at.next + size} {
			var e [1]entry
			var found [1]bool
			if err := left.lookup([]schemas.ID{eventID(offset)}, e[:], found[:]); err != nil {
				t.Fatal(err)
			}
			if want := offset >= 0 && offset < left.at.next; found[0] != want {
				t.Errorf("checkpoint %d: event of offset %d found: %v", left.at.next, offset, found[0])
			}
		}
		mustCloseState(t, left)
	}
	mustCloseState(t, s)
}

func mustOpenState(t testing.TB, fs vfs.FS, cache *pebble.Cache) *state {
	t.Helper()
	s, err := openState("/state", stream.TopicID{1}, memory{cache, newAllowance(1 << 20)}, fs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCloseState(t testing.TB, s *state) {
	t.Helper()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

// eventID is the id of one of many events that come in the order of their time,
// 20000 a minute.
func eventID(n int64) schemas.ID {
	return schemas.EventID(&schemas.Price{
		Provider: "bench", Instrument: "BTC-USD", Kind: schemas.KindTicker,
		EventTimeKind: schemas.TimeSource, EventTime: day(0).Add(time.Duration(n) * 3 * time.Millisecond),
	}, day(0), 0)
}
