//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/failpoint"
)

// A process is told to end at a point until it has, as often as was ordered, and
// no other process instead of it.
func TestArmory(t *testing.T) {
	a := newArmory(t.TempDir(), t.TempDir(), 1)
	told := func(process string, want ...string) {
		t.Helper()
		got := a.env(process)
		if len(want) == 0 && got == nil {
			return
		}
		if len(want) != 1 || !slices.Equal(got, []string{failpoint.Env + "=" + want[0]}) {
			t.Errorf("%s is told %q, want %q", process, got, want)
		}
	}
	wait := func(want ...string) {
		t.Helper()
		got, err := a.waiting()
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v are waited for, %v; want %v", got, err, want)
		}
	}
	fires := func(process string, p failpoint.Point) {
		t.Helper()
		f, err := os.OpenFile(a.log(process), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintf(f, "pass %s - 1\nfire %[1]s kill 1\n", p)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	told("lake-1")
	wait()
	a.arm("lake-1", []string{"lake.insert", "range.cut"}, 3)
	a.arm("lake-2", []string{"lake.insert"}, 2)
	told("lake-1", "lake.insert=kill@3;range.cut=kill@3")
	told("lake-1", "lake.insert=kill@1;range.cut=kill@1") // it was ended by something else
	wait("lake-1", "lake-2")
	fires("lake-1", failpoint.LakeInsert)
	told("lake-1", "range.cut=kill@1")
	told("lake-2", "lake.insert=kill@2")
	wait("lake-1") // somebody has ended at the other point
	fires("lake-1", failpoint.RangeCut)
	told("lake-1")
	wait()
	a.arm("lake-1", []string{"lake.insert"}, 2) // once more
	a.arm("lake-1", []string{"lake.insert"}, 3)
	told("lake-1", "lake.insert=kill@2")
	fires("lake-1", failpoint.LakeInsert)
	told("lake-1", "lake.insert=kill@3")
	fires("lake-1", failpoint.LakeInsert)
	told("lake-1")
	a.least = 5
	wait("lake-2") // of four that were ordered three have ended, all that lake-1 was to
	a.arm("lake-2", []string{"lake.insert"}, 1)
	wait("lake-2")
	if got := a.lacking(); !slices.Equal(got, []failpoint.Point{failpoint.LakeInsert}) {
		t.Errorf("%v lack processes", got)
	}
	fires("lake-2", failpoint.LakeInsert)
	wait("lake-2") // its other order is open, and five were to end
	fires("lake-2", failpoint.LakeInsert)
	wait()
	if seen, err := a.read(); err != nil || seen[failpoint.LakeInsert] != (failpoint.Counts{Passed: 5, Fired: 5}) {
		t.Errorf("read %v, %v", seen, err)
	}
}
