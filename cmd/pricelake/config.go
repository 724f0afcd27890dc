package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show and check the configuration"}
	var sources bool
	show := &cobra.Command{
		Use:   "print",
		Short: "Print every setting as this invocation has it",
		Long: `Prints the configuration as a file that can be used again. Secrets are printed as
what they refer to. docs/configuration.md says what each key means.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake config print --sources", "pricelake config print --config pricelake.yaml --json"),
		RunE: func(*cobra.Command, []string) error {
			s, _, err := c.settings()
			if err != nil {
				return err
			}
			from, err := c.sources(s)
			if err != nil {
				return usageError{err}
			}
			if !c.flags.json {
				var note func(string) string
				if sources {
					note = func(key string) string { return from[key] }
				}
				if _, err := c.out.w.Write(s.Config.YAML(note)); err != nil {
					return fmt.Errorf("writing output: %w", err)
				}
				return nil
			}
			for _, v := range s.Config.Settings() {
				if err := c.out.value(printedSetting{v.Key, v.Env, v.Text(), from[v.Key]}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	show.Flags().BoolVar(&sources, "sources", false, "say behind each key where its value comes from")
	check := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration without asking any server",
		Long: `Looks for keys and values that cannot work, for secrets and certificates that
cannot be read, and warns of passwords that others on the network could read. The
status is 0 when all of it can work, 3 otherwise. ` + "`pricelake doctor`" + ` asks the servers.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake config check --config pricelake.yaml"),
		RunE:    func(*cobra.Command, []string) error { return c.checkConfig() },
	}
	cmd.AddCommand(show, check)
	return cmd
}

type printedSetting struct {
	Key    string `json:"key"`
	Env    string `json:"env"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// sources says for every key where its value comes from.
func (c *cli) sources(s app.Settings) (map[string]string, error) {
	given, err := config.Sources(c.configFile(), c.env)
	if err != nil {
		return nil, err
	}
	from := map[string]string{}
	defaults := config.Default()
	standard := map[string]string{}
	for _, v := range defaults.Settings() {
		standard[v.Key] = v.Text()
	}
	for _, v := range s.Config.Settings() {
		from[v.Key] = "default"
		if s.Embedded && v.Text() != standard[v.Key] {
			from[v.Key] = "the `up` that runs"
		}
	}
	maps.Copy(from, given)
	if c.flags.dataDir != "" {
		from["data_dir"] = "--data-dir"
	}
	if c.flags.logLevel != "" {
		from["log.level"] = "--log-level"
	}
	return from, nil
}

// checkedConfig is the outcome of `config check`.
type checkedConfig struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func (c *cli) checkConfig() error {
	var found checkedConfig
	s, _, err := c.settings()
	if err != nil {
		found.Problems = strings.Split(strings.TrimPrefix(err.Error(), cannotWork), "\n")
	} else {
		for _, err := range s.CheckFiles() {
			found.Problems = append(found.Problems, err.Error())
		}
		found.Warnings = s.Config.Warnings()
	}
	found.OK = len(found.Problems) == 0
	if c.flags.json {
		if err := c.out.value(found); err != nil {
			return err
		}
	}
	for _, p := range found.Problems {
		c.out.line("%s  %s", c.out.bad("problem"), p)
	}
	for _, w := range found.Warnings {
		c.out.line("warning  %s", w)
	}
	if !found.OK {
		return checkError{errors.New("the configuration cannot work as it is")}
	}
	c.out.line("%s", c.out.good("the configuration can work; `pricelake doctor` asks the servers"))
	return nil
}

// refuseServers keeps `up` from leaving out of account what somebody configured:
// it has servers of its own.
func (c *cli) refuseServers() error {
	given, err := config.Sources(c.configFile(), c.env)
	if err != nil {
		return err
	}
	var refused []string
	for _, key := range slices.Sorted(maps.Keys(given)) {
		own := key == "kafka.brokers" || key == "kafka.replication_factor"
		for _, section := range []string{"kafka.tls.", "kafka.sasl.", "registry.", "clickhouse."} {
			own = own || strings.HasPrefix(key, section)
		}
		if own {
			refused = append(refused, fmt.Sprintf("%s (%s)", key, given[key]))
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return fmt.Errorf("`up` starts a broker, a registry and a ClickHouse of its own, so these settings would have no effect: %s; leave them out, or use `pricelake run all` with servers of your own",
		strings.Join(refused, ", "))
}
