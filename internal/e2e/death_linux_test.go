package e2e

import (
	"os/exec"
	"syscall"
)

// dieWithThread has the kernel kill the process when the thread that starts it
// ends, which is at the latest when the tests end, however they end.
func dieWithThread(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
