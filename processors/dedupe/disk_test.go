package dedupe

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// faultyDisk makes operations on files with a suffix fail while on.
type faultyDisk struct {
	on     atomic.Bool
	kind   errorfs.OpReadWrite
	suffix string
}

func (f *faultyDisk) wrap(r *rig) {
	r.fs = errorfs.Wrap(r.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.on.Load() && op.Kind.ReadOrWrite() == f.kind && strings.HasSuffix(op.Path, f.suffix) {
			return errBroken
		}
		return nil
	}))
}

// A state that cannot be read is an error of the batch, not an answer.
func TestStateCannotBeRead(t *testing.T) {
	r := newRig(t, 1)
	disk := &faultyDisk{kind: errorfs.OpIsRead, suffix: ".sst"}
	disk.wrap(r)
	r.start()
	defer r.stop()
	s := r.open(0)
	// The event lies blocks away from the checkpoint, which opening reads.
	r.run(s, input(t, 0, fixing("EUR-USD", 0, "1")), true)
	state := s.(*partition).state
	others := make([]change, 2000)
	for i := range others {
		others[i].id[5], others[i].id[6] = byte(i>>8), byte(i)
	}
	if err := errors.Join(state.apply(others, state.at, false), state.db.Flush()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	r.start() // without what the first process had in memory
	s = r.open(0)
	defer func() { mustClose(t, s) }()

	disk.on.Store(true)
	b := input(t, 0, fixing("EUR-USD", 0, "2"))
	if _, err := s.Handle(t.Context(), b); !errors.Is(err, errBroken) {
		t.Errorf("handling a batch without a readable state: got %v", err)
	}
	disk.on.Store(false)
	if got, want := told(r.prices(r.run(s, b, true))), []string{"EUR-USD 01-01 r1 2"}; !slices.Equal(got, want) {
		t.Errorf("once it can be read: got %q, want %q", got, want)
	}
}

// A write that fails leaves the store of no use until it is opened again. The
// store does not end all its goroutines then, so this runs in a process of its
// own.
func TestStateCannotBeWritten(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStateCannotBeWritten$")
		child.Env = append(os.Environ(), childVariable+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	r := newRig(t, 1)
	disk := &faultyDisk{kind: errorfs.OpIsWrite, suffix: ".log"}
	disk.wrap(r)
	r.start()
	s := r.open(0)
	disk.on.Store(true)
	b := input(t, 0, fixing("EUR-USD", 0, "1"))
	out, err := s.Handle(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Committed(t.Context(), r.log.transact(0, out.Records, true)); err == nil || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Errorf("remembering a batch on a broken disk: got %v", err)
	}
	if _, err := s.Handle(t.Context(), b); err == nil {
		t.Error("the next batch was judged by a state that lacks one")
	}
	_ = s.Close() // may tell of the disk again
	disk.on.Store(false)
	s = r.open(0)
	if got := r.run(s, b, true); len(got) > 0 {
		t.Errorf("opened again it published %q a second time", told(r.prices(got)))
	}
}
