package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what `version --json` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Embedded bool   `json:"embedded"`
}

// Set by the linker (-X main.releaseVersion=…): for a release, and where the
// build sees no repository, as in the container image.
var releaseVersion, releaseCommit string //nolint:gochecknoglobals // the linker can only set a package variable

func buildVersion() versionInfo {
	v := versionInfo{Version: releaseVersion, Commit: releaseCommit, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Embedded: embedded()}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if v.Version == "" || v.Version == "(devel)" {
		v.Version = "dev"
	}
	return v
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
		Example: examples("pricelake version --json"),
		RunE: func(*cobra.Command, []string) error {
			v := buildVersion()
			if c.flags.json {
				return c.out.value(v)
			}
			c.out.line("pricelake %s %s %s", v.Version, v.Go, v.Platform)
			if v.Commit != "" {
				c.out.line("commit %s", v.Commit)
			}
			if !v.Embedded {
				fmt.Fprintln(c.out.w, "built without the embedded stack: `up` is not in this binary")
			}
			return nil
		},
	}
}
