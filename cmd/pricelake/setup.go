package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) topicsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "Create and check the Kafka topics"}
	apply := &cobra.Command{
		Use:   "apply",
		Short: "Create missing topics and mend their settings",
		Long: `Creates the topics that are missing and sets what differs. The number of
partitions of an existing topic is never changed: keys would move to other
partitions and lose their order. It may be run again at any time.`,
		Args:    cobra.NoArgs,
		Example: examples("pricelake topics apply", "PRICELAKE_KAFKA_PARTITIONS=24 pricelake topics apply --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			changes, err := a.ApplyTopics(cmd.Context())
			if c.flags.json {
				for _, ch := range changes {
					if err := c.out.value(ch); err != nil {
						return err
					}
				}
				return err
			}
			rows := make([][]string, len(changes))
			for i, ch := range changes {
				rows[i] = []string{ch.Topic, string(ch.Kind), ch.Config, ch.From, ch.To}
			}
			if len(rows) > 0 {
				c.out.table([]string{"topic", "change", "setting", "from", "to"}, rows)
			}
			return err
		},
	}
	cmd.AddCommand(c.patient(apply))
	return cmd
}

func (c *cli) schemasCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "schemas", Short: "Check and register the Avro schemas"}
	check := &cobra.Command{
		Use:     "check",
		Short:   "Check this binary's schemas against those of the registry (FULL_TRANSITIVE)",
		Args:    cobra.NoArgs,
		Example: examples("pricelake schemas check"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			results, err := a.CheckSchemas(cmd.Context())
			if err != nil {
				return err
			}
			bad := 0
			rows := make([][]string, len(results))
			for i, r := range results {
				verdict := c.out.good("compatible")
				if len(r.Reasons) > 0 {
					bad++
					verdict = c.out.bad("incompatible")
				}
				rows[i] = []string{r.Subject, verdict, strings.Join(r.Reasons, "; ")}
				if c.flags.json {
					if err := c.out.value(r); err != nil {
						return err
					}
				}
			}
			if !c.flags.json {
				c.out.table([]string{"subject", "verdict", "reasons"}, rows)
			}
			if bad > 0 {
				return checkError{fmt.Errorf("%d subjects are incompatible: a breaking change needs a new topic beside the old one", bad)}
			}
			return nil
		},
	}
	register := &cobra.Command{
		Use:     "register",
		Short:   "Register this binary's schemas",
		Args:    cobra.NoArgs,
		Example: examples("pricelake schemas register --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			results, err := a.RegisterSchemas(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(results))
			for i, r := range results {
				rows[i] = []string{r.Subject, strconv.Itoa(r.ID)}
				if c.flags.json {
					if err := c.out.value(r); err != nil {
						return err
					}
				}
			}
			if !c.flags.json {
				c.out.table([]string{"subject", "id"}, rows)
			}
			return nil
		},
	}
	cmd.AddCommand(check, c.patient(register))
	return cmd
}

func (c *cli) migrateCommand() *cobra.Command {
	return c.patient(&cobra.Command{
		Use:     "migrate",
		Short:   "Bring the lake's tables and views to this binary's version",
		Args:    cobra.NoArgs,
		Example: examples("pricelake migrate", "PRICELAKE_CLICKHOUSE_ADDR=ch:9000 pricelake migrate --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			applied, err := a.Migrate(cmd.Context())
			if err != nil {
				return err
			}
			for _, m := range applied {
				if c.flags.json {
					if err := c.out.value(m); err != nil {
						return err
					}
				}
				c.out.line("applied %s in %s", m.Name, m.Took.Round(time.Millisecond))
			}
			if len(applied) == 0 {
				c.out.line("nothing to do: the lake is up to date")
			}
			return nil
		},
	})
}
