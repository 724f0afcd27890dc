//go:build !noembed && unix && !linux

package embed

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithThread does nothing here: the child watches its lifeline.
func dieWithThread(*syscall.SysProcAttr) {}

// processStart identifies a process together with its pid. It is empty when
// there is no such process.
func processStart(pid int) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
