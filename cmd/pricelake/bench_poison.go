package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pricelake/pricelake/internal/bench"
)

func (c *cli) benchPoisonCommand() *cobra.Command {
	o := bench.PoisonOptions{}
	keep, share := "", ""
	cmd := &cobra.Command{
		Use:   "poison",
		Short: "Measure what bad records cost the good ones",
		Long: `Has normalizer, deduplicator and lake work off good records with bad ones among
them and without, in pairs of runs that take turns, each role in a process of its
own, and says how much of their throughput the good ones keep. For each kind of bad
record: bytes that are no record, a schema that does not exist or is another (not
for the lake, which stops at these), a broken answer, a price without value, a row
that a constraint of ClickHouse forbids; and for a mixture of all kinds of the role.
Every bad record has to become one dead letter or one rejected price with its
reason; another count is an error.

Records a second depend on what else the machine does; CPU time of the role, and of
role, broker and ClickHouse together, does so less. The noise is how far apart runs
without any bad record were. Every run begins with nothing. The second run of a pair
is often slower than the first, whichever it is: half of the pairs begin with the one.

Without --rate everything waits when the role starts: what is measured is capacity.
With --rate good records come at that rate, and bad ones among them, while the role
runs: what is measured is whether the good ones still get through as fast as they
come, and how long they take from when they were due. What is due before the role has
worked for five seconds does not count.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake bench poison", "pricelake bench poison --only lake/refused --share 5% --pairs 8",
			"pricelake bench poison --rate 20000 --only lake",
			"pricelake bench poison --only normalizer,deduplicator --rows 300000 --json"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Share, err = parseShare(share); err != nil {
				return usageError{err}
			}
			return c.benchPoison(cmd.Context(), o, keep)
		},
	}
	f := cmd.Flags()
	f.Int64Var(&o.Rows, "rows", 0, fmt.Sprintf("good records in each run (default %d, at a rate %d seconds of it)", poisonRows, usualFlow))
	f.StringVar(&share, "share", "1%", "of all records that are bad, at most 50%")
	f.IntVar(&o.Pairs, "pairs", 4, "pairs of runs of each kind, best an even number; medians are reported")
	f.IntVar(&o.Rate, "rate", 0, "good records a second while the role runs; 0: all wait when it starts")
	f.IntVar(&o.Partitions, "partitions", 3, "partitions of the topics")
	f.StringSliceVar(&o.Only, "only", nil, "what to measure: roles (normalizer, deduplicator, lake), or role/kind as the table names them")
	f.StringVar(&o.Profile, "profile", "", "folder for CPU and allocation profiles of the first pair of each kind")
	f.StringVar(&keep, "keep", "", "folder that keeps the data of every run, to count again; empty or new")
	return cmd
}

// parseShare reads a part of all, as 1% or 0.01.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || share <= 0 || share > 0.5 {
		return 0, fmt.Errorf("--share %q: write a part of all records, such as 1%%, at most 50%%", text)
	}
	return share, nil
}

const (
	poisonRows = 500_000
	// usualFlow and leastFlow are for how many seconds records come at a rate, without
	// --rows and at least.
	usualFlow, leastFlow = 30, 15
)

func (c *cli) benchPoison(ctx context.Context, o bench.PoisonOptions, keep string) (err error) {
	if err := poisonSize(&o); err != nil {
		return usageError{err}
	}
	kinds, ofLake := bench.PoisonClasses(), len(o.Only) == 0
	for _, name := range o.Only {
		known := slices.ContainsFunc(kinds, func(kind string) bool { return kind == name || strings.HasPrefix(kind, name+"/") })
		if !known {
			return usageError{fmt.Errorf("--only %q: there are %s", name, strings.Join(kinds, ", "))}
		}
		ofLake = ofLake || strings.HasPrefix(name, "lake")
	}
	var done func() error
	if o.Servers, done, err = c.benchServers(keep); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if ofLake {
		engine, err := c.locateEngine(ctx)
		if err != nil {
			return err
		}
		o.Servers.Engine = &engine
	}
	o.Keep = keep != ""
	o.Progress = func(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
	if o.Rate > 0 {
		o.Progress("each run takes %v and what starting it takes; %d of each kind", time.Duration(o.Rows)*time.Second/time.Duration(o.Rate), 2*o.Pairs)
	}
	report, err := bench.Poison(ctx, o)
	switch {
	case len(report.Classes) == 0:
	case c.flags.json:
		err = errors.Join(err, c.out.value(report))
	default:
		c.poisonTable(report)
	}
	return err
}

// poisonSize says how many rows there are, and refuses what nothing can be measured of.
func poisonSize(o *bench.PoisonOptions) error {
	if o.Rate < 0 {
		return fmt.Errorf("--rate %d: it must not be below 0", o.Rate)
	}
	if o.Rows == 0 {
		o.Rows = poisonRows
		if o.Rate > 0 {
			o.Rows = usualFlow * int64(o.Rate)
		}
	}
	if o.Rows < 1 || o.Pairs < 1 || o.Partitions < 1 {
		return errors.New("rows, pairs and partitions must be 1 or more")
	}
	if least := leastFlow * int64(o.Rate); o.Rows < least {
		return fmt.Errorf("--rate %d: the rows must last for %d seconds: give --rows %d or more", o.Rate, leastFlow, least)
	}
	if o.Bad() == 0 {
		return fmt.Errorf("--share %g of %d rows is not one bad record: give more --rows", o.Share, o.Rows)
	}
	return nil
}

func (c *cli) poisonTable(report *bench.PoisonReport) {
	rows := make([][]string, 0, len(report.Classes))
	heads := []string{"kind", "", "bad", "each is a", "kept of records/s (noise)", "of records per CPU second of the role", "of role and servers"}
	if report.Rate > 0 {
		heads = append(heads, "p50 s (without)", "p99 s (without)")
	}
	for _, k := range report.Classes {
		row := []string{k.Role + "/" + k.Class, k.Text, strconv.FormatInt(k.Bad, 10), k.Becomes + ", " + k.Reason,
			k.PartText(k.Kept, k.Noise), k.PartText(k.KeptCPU, k.NoiseCPU), k.PartText(k.KeptAllCPU, k.NoiseAll)}
		if l, w := k.Latency, k.LatencyWithout; l != nil {
			row = append(row, fmt.Sprintf("%.3f (%.3f)", l.P50, w.P50), fmt.Sprintf("%.3f (%.3f)", l.P99, w.P99))
		}
		rows = append(rows, row)
	}
	c.out.table(heads, rows)
}
