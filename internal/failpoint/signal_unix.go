//go:build unix

package failpoint

import (
	"os"
	"syscall"
)

// signal ends or freezes this process. A kill does not return.
func signal(a Action) error {
	if a == Stop {
		return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
		return err
	}
	select {} // the signal is on its way
}
