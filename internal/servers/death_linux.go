package servers

import "syscall"

// dieWithThread asks the kernel to kill the process when the thread that
// started it ends.
func dieWithThread(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
