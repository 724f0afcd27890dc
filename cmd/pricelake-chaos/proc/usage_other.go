//go:build unix && !linux

package proc

// Usage is what a process holds right now.
type Usage struct {
	RSS   int64 // resident bytes
	Files int   // open files
}

// UsageOf knows nothing on this system.
func UsageOf(int) (u Usage, ok bool) { return u, false }
