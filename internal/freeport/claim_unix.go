//go:build unix

package freeport

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// claimed takes a port for the life of this process, among all who find ports on this
// machine: a server that is away for a moment finds its port free when it comes back.
// Where locks cannot be had every port is granted.
func claimed(port int) bool {
	folder := filepath.Join(os.TempDir(), "pricelake-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return true
	}
	// The descriptor stays open, and the lock with it, until the process ends.
	fd, err := syscall.Open(filepath.Join(folder, strconv.Itoa(port)), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return true
	}
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = syscall.Close(fd)
		return false
	}
	return true
}
