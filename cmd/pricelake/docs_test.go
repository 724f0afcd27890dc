package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// mentioned finds commands of this program in a text: between backquotes, as in
// messages, comments and pages, and at the beginning of a line that shows how to
// type them.
var mentioned = regexp.MustCompile("`pricelake ([^`\n]+)`|(?m:^(?:#|--)?[ \t]*(?:bin/|\\$ |docker compose run (?:-\\S+ )*)?pricelake ([a-z][^\n]*)$)")

// TestMentionedCommandsExist: what pages, messages and manifests tell people to
// type is a command, with flags that it has.
func TestMentionedCommandsExist(t *testing.T) {
	root := (&cli{out: newPrinter(&strings.Builder{})}).root()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{".go", ".md", ".yml", ".yaml", ".sh", ".sql", ".xml"}, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range mentioned.FindAllStringSubmatch(string(text), -1) {
			line, _, _ := strings.Cut(m[1]+m[2], " #")
			if problem := unknown(root, line); problem != "" {
				t.Errorf("%s: `pricelake %s`: %s", name, line, problem)
			}
			seen++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 100 {
		t.Errorf("only %d commands found", seen)
	}
}

// placeholder begins what is no command: an argument, or what is left out.
var placeholder = regexp.MustCompile(`^[^a-z]|^$`)

// unknown says what in a line is no command or no flag of it; empty: nothing.
func unknown(root *cobra.Command, line string) string {
	commands := []*cobra.Command{root}
	words := strings.Fields(line)
	for len(words) > 0 && !placeholder.MatchString(words[0]) && commands[0].HasSubCommands() {
		var next []*cobra.Command
		for _, name := range strings.Split(words[0], "|") { // one or the other
			i := slices.IndexFunc(commands[0].Commands(), func(c *cobra.Command) bool { return c.Name() == name })
			if i < 0 {
				return name + " is no command"
			}
			next = append(next, commands[0].Commands()[i])
		}
		commands, words = next, words[1:]
	}
	for _, word := range words {
		name, isFlag := strings.CutPrefix(strings.Trim(word, "[](),"), "--")
		name, _, _ = strings.Cut(name, "=")
		if !isFlag || name == "" || name == "help" {
			continue
		}
		for _, c := range commands {
			if c.Flags().Lookup(name) == nil && c.InheritedFlags().Lookup(name) == nil {
				return "--" + name + " is no flag of " + c.CommandPath()
			}
		}
	}
	return ""
}

func TestUnknownCommandsAreFound(t *testing.T) {
	root := (&cli{out: newPrinter(&strings.Builder{})}).root()
	for line, bad := range map[string]bool{
		"verify --wait": false, "quarantine ls|release": false, "quarantine release TOPIC PARTITION [--to OFFSET]": false, "up [--demo]": false,
		"verfy": true, "quarantine list": true, "quarantine ls|free": true, "verify --topics x": true, "sql --data-dir=x": false, "pause|resume ROLE": false,
	} {
		if problem := unknown(root, line); (problem != "") != bad {
			t.Errorf("%q: %q", line, problem)
		}
	}
}
