//go:build !unix

package embed

// Headroom is ErrUnavailable on this system.
func Headroom(string) (free uint64, err error) { return 0, ErrUnavailable }
