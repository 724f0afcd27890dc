//go:build !linux

package bench

import "errors"

// usageOf asks the kernel, which is done on Linux only.
func usageOf(int) (Usage, error) {
	return Usage{}, errors.New("what a process uses is measured on Linux only")
}
