//go:build !noembed && unix

package embed

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"

	"github.com/ebitengine/purego"
)

// ChildMain is the whole life of the ClickHouse child process: it loads the
// library, confines itself to the folder it is given, and runs the server until
// its terminal, standard input, ends. The result is the exit status, which says
// little: the engine reports 0 for a failed start too.
//
// The library wants a process of its own (it can be started once only) without
// the race detector, and a terminal as standard input: with anything else a
// single bad client aborts the server.
func ChildMain(args []string) int {
	if err := runChild(args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", ChildCommand, err)
		return 1
	}
	return 0
}

func runChild(args []string) error {
	flags := flag.NewFlagSet(ChildCommand, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("library", "", "the library to load")
	dir := flags.String("dir", "", "the only folder it may use")
	connect := flags.Bool("allow-connect", false, "let it open connections")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("this command is run by pricelake itself: %w", err)
	}
	if *path == "" || *dir == "" {
		return errors.New("this command is run by pricelake itself, with --library and --dir")
	}
	go endWithParent()
	// The engine takes the thread that calls it for its main thread, and its
	// threads inherit the limits of this one.
	runtime.LockOSThread()
	library, err := purego.Dlopen(*path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return fmt.Errorf("loading %q: %w", *path, err)
	}
	if err := confine(*dir, *connect); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %v\n", ChildCommand, notConfined, err)
	}
	var run func(argc int32, argv **byte) uintptr
	purego.RegisterLibFunc(&run, library, "chdb_query_cmdline")
	words := append([]string{"clickhouse"}, flags.Args()...)
	argv := cStrings(words)
	run(int32(len(words)), &argv[0])
	runtime.KeepAlive(argv)
	return nil
}

// cStrings is the argv of C: pointers to strings that end in a zero byte, and
// a null pointer at the end.
func cStrings(args []string) []*byte {
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		b := append([]byte(arg), 0)
		argv = append(argv, &b[0])
	}
	return append(argv, nil)
}

// lifelineFD is the read end of a pipe whose other end the parent holds.
const lifelineFD = 3

// endWithParent kills this process the moment its parent is gone, however it
// went: the data directory has to be free for the next start.
func endWithParent() {
	lifeline := os.NewFile(lifelineFD, "lifeline")
	if lifeline == nil {
		return
	}
	if _, err := lifeline.Read(make([]byte, 1)); err != nil {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}
