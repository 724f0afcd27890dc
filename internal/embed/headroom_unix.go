//go:build unix

package embed

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Headroom is the number of bytes an ordinary user can still write to the file
// system that holds dir.
func Headroom(dir string) (free uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %q: %w", dir, err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil //nolint:unconvert // the types differ between systems
}
