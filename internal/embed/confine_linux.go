//go:build !noembed

package embed

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Rights on files, by the version of Landlock that knows them.
const (
	readRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// treeRights are all rights but running programs.
	treeRights = readRights | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	// Without the second version nothing can be moved between folders.
	minLandlock = 2
)

// confine limits this thread, and every thread it starts, to the folder dir and
// the few files of the system that the engine looks at; it may run no program
// and, unless connect is set, open no TCP connection.
//
// It is needed because the library is ClickHouse's tool for one's own files:
// its function file('/etc/passwd'), its templates and its executable
// dictionaries ask for no right, and reach whatever the process reaches.
func confine(dir string, connect bool) error {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 || abi < minLandlock {
		return fmt.Errorf("the kernel has no Landlock of version %d (it has %d)", minLandlock, int(abi))
	}
	tree := uint64(treeRights)
	if abi >= 3 {
		tree |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: tree | unix.LANDLOCK_ACCESS_FS_EXECUTE}
	if abi >= 4 && !connect {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr), 0)
	if errno != 0 {
		return fmt.Errorf("making a Landlock ruleset: %w", errno)
	}
	ruleset := int(fd)
	defer func() { _ = unix.Close(ruleset) }()
	if err := allow(ruleset, dir, tree); err != nil {
		return err
	}
	for _, rule := range systemPaths() {
		if err := allow(ruleset, rule.path, rule.rights); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(ruleset), 0, 0); errno != 0 {
		return fmt.Errorf("entering the Landlock ruleset: %w", errno)
	}
	return nil
}

type pathRule struct {
	path   string
	rights uint64
}

// systemPaths are what the engine reads of the system: facts about the machine
// and this process, not about others; a neighbour's environment is in /proc.
func systemPaths() []pathRule {
	rules := []pathRule{
		{fmt.Sprintf("/proc/%d", os.Getpid()), readRights},
		{"/proc/sys", readRights},
		{"/sys", readRights},
		{"/lib", readRights},
		{"/lib64", readRights},
		{"/usr/lib", readRights},
		{"/usr/lib64", readRights},
		{"/usr/share/zoneinfo", readRights},
		{"/dev/null", fileRights},
		{"/dev/urandom", unix.LANDLOCK_ACCESS_FS_READ_FILE},
		{"/dev/random", unix.LANDLOCK_ACCESS_FS_READ_FILE},
	}
	for _, name := range []string{"meminfo", "cpuinfo", "stat", "loadavg", "uptime", "diskstats", "version"} {
		rules = append(rules, pathRule{"/proc/" + name, unix.LANDLOCK_ACCESS_FS_READ_FILE})
	}
	for _, name := range []string{"localtime", "hosts", "resolv.conf", "nsswitch.conf", "ld.so.cache"} {
		rules = append(rules, pathRule{"/etc/" + name, unix.LANDLOCK_ACCESS_FS_READ_FILE})
	}
	return rules
}

func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening %q for a Landlock rule: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("adding a Landlock rule for %q: %w", path, errno)
	}
	return nil
}
