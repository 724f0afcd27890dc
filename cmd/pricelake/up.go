package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/producers/catalog"
)

func (c *cli) upCommand() *cobra.Command {
	var opts app.UpOptions
	var files []string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start everything embedded in this process: broker, registry, ClickHouse and every role",
		Long: `Starts a Kafka-protocol broker, a schema registry and a real ClickHouse server
together with every role, keeps their state in the data dir, and runs until it is
told to stop (Ctrl-C or SIGTERM).

With --demo it polls a built-in simulator of real price APIs, so it works with no
network; without it, the shipped catalog of keyless public APIs, or --catalog.

All ports are on the loopback address: the usual ones if they are free, else any,
and the same ones again at the next start.`,
		Args: cobra.NoArgs,
		Example: examples("pricelake up --demo", "pricelake up --catalog catalog.yaml",
			"pricelake up --demo --json >up.jsonl &  # its first line has the addresses"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := app.UpDefaults()
			if err := c.overlay(&cfg); err != nil {
				return usageError{err}
			}
			if err := c.refuseServers(); err != nil {
				return usageError{err}
			}
			if len(opts.Without) > 0 {
				var err error
				if opts.Without, err = chosenRoles(opts.Without, app.RoleNames(), "those that can be left out"); err != nil {
					return err
				}
			}
			named := cfg.DataDir != ""
			if !named {
				lake, demo, err := app.DataDirs(c.getenv)
				if err != nil {
					return usageError{err}
				}
				cfg.DataDir = lake
				if opts.Demo {
					cfg.DataDir = demo
				}
			}
			var err error
			if cfg.DataDir, err = filepath.Abs(cfg.DataDir); err != nil {
				return fmt.Errorf("finding the data dir: %w", err)
			}
			if err := c.upCatalog(&opts, files); err != nil {
				return err
			}
			opts.Version = buildVersion().Version
			return c.up(cmd, cfg, opts, named)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.Demo, "demo", false, "poll the built-in simulator instead of real APIs")
	f.StringSliceVar(&files, "catalog", nil, "catalog file (repeatable; default: the shipped catalog)")
	f.StringVar(&opts.KafkaAddr, "kafka-addr", "", "host:port of the broker (default 127.0.0.1:9092, or a free port)")
	f.StringVar(&opts.RegistryAddr, "registry-addr", "", "host:port of the schema registry (default 127.0.0.1:8081, or a free port)")
	f.StringVar(&opts.ClickHouseAddr, "clickhouse-addr", "", "host:port of ClickHouse's native protocol (default 127.0.0.1:9000, or a free port)")
	f.StringVar(&opts.ClickHouseHTTPAddr, "clickhouse-http-addr", "", "host:port of ClickHouse's HTTP interface (default 127.0.0.1:8123, or a free port)")
	f.StringVar(&opts.AdminAddr, "admin-addr", "", "host:port of /metrics, /livez and /readyz (default 127.0.0.1:8090, or a free port)")
	f.StringSliceVar(&opts.Without, "without", nil, "role that is not started (repeatable), as the release of a quarantine needs it of the lake")
	f.Int64Var(&opts.Seed, "demo-seed", 1, "seed of the simulated prices")
	return cmd
}

func (c *cli) upCatalog(opts *app.UpOptions, files []string) error {
	if opts.Demo {
		if len(files) > 0 {
			return usageError{fmt.Errorf("--demo and --catalog exclude each other: the demo has its own catalog")}
		}
		return nil // made once the simulator's address is known
	}
	cat, err := c.loadCatalog(files)
	if err != nil {
		return err
	}
	opts.Catalog = func(string) (*catalog.Catalog, error) { return cat, nil }
	return nil
}

// up logs to a file in the data dir: the screen belongs to what people watch.
func (c *cli) up(cmd *cobra.Command, cfg config.Config, opts app.UpOptions, named bool) error {
	screen := &upScreen{out: c.out, stderr: c.stderr, interactive: c.out.terminal, tool: "pricelake"}
	if named {
		screen.tool += " --data-dir " + strconv.Quote(cfg.DataDir)
	}
	defer screen.done()
	logTo, closeLog, err := upLog(cfg, c.stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	log, err := ops.NewLogger(logTo, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return usageError{err}
	}
	opts.Events = app.UpEvents{Step: screen.step, Notice: screen.notice, Fetch: screen.fetch, Ready: screen.ready, Counts: screen.counts}
	err = app.Up(cmd.Context(), cfg, opts, log, c.getenv)
	screen.done()
	if err == nil {
		screen.notice("stopped; everything is kept in " + cfg.DataDir)
	}
	return err
}

// upLog writes the roles' logs into the data dir: the screen belongs to what a
// person wants to see, and a failed poll is in the lake anyway.
func upLog(cfg config.Config, stderr io.Writer) (io.Writer, func(), error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the data dir %q: %w; choose another with --data-dir", cfg.DataDir, err)
	}
	name := logFile(cfg.DataDir)
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log: %w; choose another data dir with --data-dir", err)
	}
	return f, func() {
		if err := f.Close(); err != nil {
			fmt.Fprintf(stderr, "pricelake: closing %s: %s\n", name, err)
		}
	}, nil
}

func logFile(dataDir string) string { return filepath.Join(dataDir, "pricelake.log") }

// upScreen shows what `up` does. With --json standard output carries only JSON,
// the rest goes to standard error.
type upScreen struct {
	out         *printer
	stderr      io.Writer
	interactive bool
	tool        string // how the tools are called from another terminal

	mu       sync.Mutex
	progress *mpb.Progress
	bar      *mpb.Bar
	stepName string
	live     bool
	last     time.Time
}

func (s *upScreen) say(format string, args ...any) {
	w := s.out.w
	if s.out.json {
		w = s.stderr
	}
	s.breakLive()
	fmt.Fprintf(w, format+"\n", args...)
}

// breakLive ends the line of live counts, so that other text starts afresh.
func (s *upScreen) breakLive() {
	if s.live {
		fmt.Fprintln(s.out.w)
		s.live = false
	}
}

func (s *upScreen) step(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("  %s", text)
}

func (s *upScreen) notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("%s", text)
}

// fetch shows the progress of the ClickHouse library: a bar on a terminal, a
// line every five seconds elsewhere. A total of 0 is one that npm does not tell.
func (s *upScreen) fetch(step string, done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.drawFetch(step, done, total)
		return
	}
	if now := time.Now(); step != s.stepName || now.Sub(s.last) > 5*time.Second {
		s.last, s.stepName = now, step
		if total > 0 {
			fmt.Fprintf(s.stderr, "  %s: %d of %d MiB\n", step, done>>20, total>>20)
		} else {
			fmt.Fprintf(s.stderr, "  %s: %d MiB\n", step, done>>20)
		}
	}
}

// drawFetch draws one bar for each step.
func (s *upScreen) drawFetch(step string, done, total int64) {
	if s.progress == nil || step != s.stepName {
		s.endBar()
		s.stepName = step
		s.progress = mpb.New(mpb.WithOutput(s.stderr), mpb.WithWidth(64))
		s.bar = s.progress.AddBar(total, mpb.PrependDecorators(decor.Name("  "+step+" ")),
			mpb.AppendDecorators(decor.CurrentKibiByte("% .0f")))
	}
	s.bar.SetTotal(max(total, done+1), false)
	s.bar.SetCurrent(done)
}

// endBar leaves the bar as it stands.
func (s *upScreen) endBar() {
	if s.bar != nil {
		s.bar.Abort(false)
		s.progress.Wait()
		s.progress, s.bar = nil, nil
	}
}

func (s *upScreen) ready(e app.Endpoints) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.json {
		if err := s.out.value(e); err != nil {
			fmt.Fprintf(s.stderr, "pricelake: %s\n", err)
		}
		return
	}
	s.say("")
	s.say("%s", s.out.good("pricelake is up"))
	s.say("  Kafka              %s", e.Kafka)
	s.say("  schema registry    %s", e.Registry)
	s.say("  ClickHouse native  %s   user %s", e.ClickHouseNative, e.ClickHouseUser)
	s.say("  ClickHouse HTTP    %s   password in %s/endpoints.json", e.ClickHouseHTTP, e.DataDir)
	s.say("  metrics, health    %s/metrics", e.Admin)
	s.say("  log                %s", logFile(e.DataDir))
	if e.Simulator != "" {
		s.say("  simulated APIs     %s   what they served: %s/ledger", e.Simulator, e.Simulator)
	}
	s.say("")
	s.say("Ask the first question in another terminal:")
	s.say("  %s sql \"SELECT instrument, provider, price, bid, ask, age_seconds FROM prices_latest\"", s.tool)
	s.say("  %s status", s.tool)
	s.say("")
}

// counts shows the live line: redrawn on a terminal, every ten seconds in a
// pipe, an event with --json.
func (s *upScreen) counts(n app.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.json {
		if time.Since(s.last) < 10*time.Second {
			return
		}
		s.last = time.Now()
		if err := s.out.value(n); err != nil {
			fmt.Fprintf(s.stderr, "pricelake: %s\n", err)
		}
		return
	}
	line := fmt.Sprintf("polls %d  prices %d  providers %d  rejected %d  dead letters %d  newest %s",
		n.Polls, n.Prices, n.Providers, n.Rejected, n.DeadLetters, sinceThen(n.Newest))
	if s.interactive {
		fmt.Fprintf(s.out.w, "\r\x1b[K%s", line)
		s.live = true
		return
	}
	if time.Since(s.last) >= 10*time.Second {
		s.last = time.Now()
		fmt.Fprintln(s.out.w, line)
	}
}

// done ends the live line and a download's bar that was cut off.
func (s *upScreen) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endBar()
	s.breakLive()
}
