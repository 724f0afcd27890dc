//go:build unix && !linux

package proc

import "syscall"

// dieWithThread does nothing: this system has no signal for it.
func dieWithThread(*syscall.SysProcAttr) {}
