package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/app"
)

// tailed is one record of a topic as `tail` prints it.
type tailed struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Timestamp time.Time       `json:"timestamp"`
	Key       string          `json:"key"`
	Value     json.RawMessage `json:"value"` // null: the key was removed
}

func (c *cli) tailCommand() *cobra.Command {
	var fromStart bool
	var count int
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Print the records of a topic as JSON, as they come",
		Long: `Prints committed records, decoded by the schema they were written with. Decimals
come as text, ids as UUIDs, times as RFC 3339. Ends with Ctrl-C, or after --count
records.`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: app.TopicNames(),
		Example: examples(
			"pricelake tail prices.v1",
			"pricelake tail deadletters.v1 --from-start --count 10 | jq .value.error"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 0 {
				return usageError{fmt.Errorf("--count %d: write a number above 0, or leave it out to go on until Ctrl-C", count)}
			}
			a, err := c.open()
			if err != nil {
				return err
			}
			defer a.Close()
			return a.Tail(cmd.Context(), args[0], app.TailOptions{FromStart: fromStart, Count: count}, func(r app.TailRecord) error {
				return c.out.value(tailed{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
					Timestamp: r.Timestamp, Key: r.KeyText, Value: r.JSON})
			})
		},
	}
	cmd.Flags().BoolVar(&fromStart, "from-start", false, "begin at the first retained record instead of the next new one")
	cmd.Flags().IntVar(&count, "count", 0, "end after so many records (default: never)")
	return cmd
}
