package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/simulator"
)

// SimulatorOptions say what the simulator serves, and where.
type SimulatorOptions struct {
	Addr      string   // host:port of the price APIs
	AdminAddr string   // host:port of /metrics, /livez and /readyz
	Hosts     []string // names, beside those of loopback, by which it is called
	Seed      uint64
	Trouble   bool   // errors, rate limits, restated values and all the others
	StateFile string // keeps restated values over a restart; empty: they are lost
}

// RunSimulator serves the price APIs of the demo, without a lake, until ctx ends.
func RunSimulator(ctx context.Context, o SimulatorOptions, log *slog.Logger, metrics *prometheus.Registry) error {
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return fmt.Errorf("opening the simulator's address: %w; choose another with --addr", err)
	}
	admin, err := listenAdmin(o.AdminAddr)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	cfg := simulator.Config{Seed: o.Seed, Hosts: o.Hosts, StateFile: o.StateFile, Log: log.With("part", "simulator")}
	if o.Trouble {
		cfg.Rates = simulator.DefaultRates()
	}
	sim := simulator.New(cfg)
	health := ops.NewHealth()
	health.Add("simulator", func(ctx context.Context) error { return AskSimulator(ctx, "http://"+loopback(l)) })
	var g ops.Group
	g.Add("simulator", func(ctx context.Context) error { return sim.Run(ctx, l) })
	addAdmin(&g, admin, &ops.Admin{Health: health, Metrics: metrics})
	stop := context.AfterFunc(ctx, health.Drain)
	defer stop()
	log.Info("simulator started", "addr", l.Addr().String(), "admin", admin.Addr().String())
	return g.Run(ctx)
}

// loopback is where this machine reaches its own listener.
func loopback(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return l.Addr().String()
}

const simulatorTimeout = 2 * time.Second

// AskSimulator returns why the simulator at the URL does not serve, nil when it
// does.
func AskSimulator(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, simulatorTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("asking the simulator %q: %w", url, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the simulator: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("asking the simulator %q: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking the simulator %q: status %d", url, resp.StatusCode)
	}
	return nil
}
