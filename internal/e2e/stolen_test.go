package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// machineTimes are the CPU times of the machine since it was started, in ticks.
type machineTimes struct{ all, stolen uint64 }

// cpuTimes reads those of all cores, the first line of /proc/stat (proc_stat(5)); where
// there is none nothing is stolen.
func cpuTimes() machineTimes {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	return readTimes(line)
}

// readTimes reads user, nice, system, idle, iowait, irq, softirq and steal; what
// guests of this machine have follows and is in user and nice already.
func readTimes(line string) (t machineTimes) {
	const steal = 8
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil || i > steal {
			continue
		}
		if t.all += n; i == steal {
			t.stolen = n
		}
	}
	return t
}

// stolenSince is which part of the time since other machines on the same hardware had
// while this one wanted it.
func (t machineTimes) stolenSince(before machineTimes) float64 {
	return float64(t.stolen-before.stolen) / float64(max(1, t.all-before.all))
}

func TestStolen(t *testing.T) {
	before, after := readTimes("cpu  10 0 10 60 0 0 0 20 5 0"), readTimes("cpu  20 10 20 90 10 5 5 40 7 1")
	if got := after.stolenSince(before); after.all != 200 || got != 0.2 {
		t.Errorf("%+v: %v", after, got)
	}
}
