package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Usage is what a process holds right now.
type Usage struct {
	RSS   int64 // resident bytes
	Files int   // open files
}

// UsageOf looks at a process; ok is false when it is gone.
func UsageOf(pid int) (u Usage, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return u, false
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return u, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return u, false
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, false
	}
	return Usage{RSS: pages * int64(os.Getpagesize()), Files: len(files)}, true
}
