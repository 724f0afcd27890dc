package proc

import "syscall"

// dieWithThread makes the kernel kill the child when the thread that started it
// is gone, frozen or not: nothing outlives the run.
func dieWithThread(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
