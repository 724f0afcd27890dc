package app

import (
	"runtime/debug"
	"testing"
)

// A process aims at 200 MiB for each of its roles, and at what GOMEMLIMIT says
// where somebody set that.
func TestLimitMemory(t *testing.T) {
	const ofTheUser = 1 << 30
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	f := func(env string, roles int, want int64) {
		t.Helper()
		debug.SetMemoryLimit(ofTheUser)
		LimitMemory(func(name string) string {
			if name == "GOMEMLIMIT" {
				return env
			}
			return ""
		}, roles)
		if got := debug.SetMemoryLimit(-1); got != want {
			t.Errorf("GOMEMLIMIT=%q, %d roles: %d bytes, want %d", env, roles, got, want)
		}
	}
	f("", 1, 200<<20)
	f("", 6, 1200<<20)
	f("1GiB", 1, ofTheUser)
	f("off", 6, ofTheUser)
}
