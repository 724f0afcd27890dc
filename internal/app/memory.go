package app

import "runtime/debug"

// roleMemory is what the Go runtime of a process aims at for each of its roles,
// so that the whole of the process, code and stacks with it, stays within the
// 256 MiB that a role promises at full rate. It is an aim and no bound: a process
// that needs more collects garbage more often.
const roleMemory = 200 << 20

// LimitMemory sets that aim for a process of so many roles, where GOMEMLIMIT does
// not set another.
func LimitMemory(getenv func(string) string, roles int) {
	if getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(roles) * roleMemory)
	}
}
