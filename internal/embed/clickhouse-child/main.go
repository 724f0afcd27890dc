// Command clickhouse-child is the ClickHouse child process on its own. The
// pricelake binary holds the same code as a hidden sub-command; tests build
// this one, because a binary with the race detector cannot be the child.
package main

import (
	"os"

	"github.com/pricelake/pricelake/internal/embed"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == embed.ChildCommand {
		args = args[1:]
	}
	os.Exit(embed.ChildMain(args)) //nolint:forbidigo // this is main
}
