package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addHelp makes `help` a command that refuses what it knows nothing about: cobra's
// own shows the help of what is above, and ends with status 0.
func addHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return // nothing to explain: root has no commands
	}
	help.Example = examples("pricelake help sql", "pricelake help catalog apply")
	help.RunE = func(cmd *cobra.Command, args []string) error {
		about, rest, err := root.Find(args)
		if err != nil {
			return usageError{err}
		}
		if len(rest) > 0 {
			return noCommand(about, rest[0])
		}
		about.InitDefaultHelpFlag() // else the help does not mention it
		return about.Help()
	}
}

// noCommand says that a group has no command of the name, and which it may be.
func noCommand(group *cobra.Command, name string) error {
	hint := ""
	if like := group.SuggestionsFor(name); len(like) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(like, ", "))
	}
	return usageError{fmt.Errorf("%q is no command of %s%s; see `%s --help`", name, group.CommandPath(), hint, group.CommandPath())}
}
