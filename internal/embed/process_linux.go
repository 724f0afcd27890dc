//go:build !noembed

package embed

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// dieWithThread asks the kernel to kill the child when the thread that started
// it ends, which is when this process ends: the thread waits for the child.
func dieWithThread(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// processStart identifies a process together with its pid, also over a reboot.
// It is empty when there is no such process.
func processStart(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	// The name, field 2, may hold spaces; field 22 is counted from behind it.
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return strings.TrimSpace(string(boot)) + "/" + fields[19]
}
