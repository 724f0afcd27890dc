package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/freeport"
	"github.com/pricelake/pricelake/internal/simulator"
)

// PathOptions say how the whole way of a price is measured.
type PathOptions struct {
	Servers ServerOptions // Engine is unused: `up` finds its own
	Polls   int           // to measure
	Every   time.Duration // between polls
	Flush   time.Duration // lake.flush_interval of `up`
	// Progress is told how far it is, line by line.
	Progress func(format string, args ...any)
}

const (
	// warmUpPolls are made before those that count: first transactions and
	// inserts make connections, and roles join their groups.
	warmUpPolls = 5
	// pathCall asks for one ticker, whose answer says when it was made, to the
	// microsecond.
	pathCall = `version: 1
instruments:
  - {id: BTC-USD, asset_class: crypto, base: BTC, quote: USD}
base_urls: {coinbase-exchange: %q}
calls:
  - {id: path, preset: coinbase-exchange/ticker, symbols: [BTC-USD], schedule: {every: %s}}
`
)

// Path measures how long it takes from an event in the answer of an API until its
// row can be read: `pricelake up` in a process, a simulated API in another, and
// two onlookers in this one. One reads the topics as any consumer would, the
// other asks ClickHouse over HTTP.
func Path(ctx context.Context, o PathOptions) (_ *PathReport, err error) {
	s := &Servers{dir: o.Servers.Dir, child: o.Servers.Child}
	if err := os.MkdirAll(filepath.Join(s.dir, "logs"), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the measurement: %w", err)
	}
	if s.lock, err = embed.LockDir(s.dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.lock.Close()) }()
	api, err := s.startSimulator(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, api.process.Stop()) }()
	stack, err := s.startUp(ctx, o, api.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stack.process.Stop()) }()
	s.Kafka, s.Registry = stack.endpoints.Kafka, stack.endpoints.Registry
	o.Progress("`up` is ready; %d polls, one every %v, take %v", o.Polls, o.Every, time.Duration(o.Polls+warmUpPolls)*o.Every)
	w := newPathWatch(s, stack, o)
	samples, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	if err := answersArrived(ctx, api.url, samples); err != nil {
		return nil, err
	}
	return pathReport(o, samples, w.looks), nil
}

// answersArrived compares what was measured with the ledger of the API: every
// answer it gave between the first and the last sample is a row, and says the
// same time.
func answersArrived(ctx context.Context, api string, samples []pathSample) error {
	ledger, err := simulator.FetchLedger(ctx, api)
	if err != nil {
		return err
	}
	seen := map[int64]bool{}
	for _, s := range samples {
		seen[s.at[momentEvent].UnixMicro()] = true
	}
	first, last := samples[0].at[momentEvent], samples[len(samples)-1].at[momentEvent]
	for _, e := range ledger.Entries {
		for _, p := range e.Prices {
			if p.SourceTime == nil || p.SourceTime.Before(first) || p.SourceTime.After(last) {
				continue
			}
			if !seen[p.SourceTime.UnixMicro()] {
				return fmt.Errorf("answer %s, which says %v, is no row", e.ID, p.SourceTime)
			}
			delete(seen, p.SourceTime.UnixMicro())
		}
	}
	if len(seen) > 0 {
		return fmt.Errorf("%d rows are of no answer", len(seen))
	}
	return nil
}

// simulated is a price API in a process of its own.
type simulated struct {
	process *Process
	url     string
}

func (s *Servers) startSimulator(ctx context.Context) (a simulated, err error) {
	addr, err := freeport.Addr()
	if err != nil {
		return a, err
	}
	a.url = "http://" + addr
	if a.process, err = s.Start("simulator", []string{childAddrEnv + "=" + addr}, childSimulator); err != nil {
		return a, err
	}
	err = a.process.await(ctx, startPatience, func(ctx context.Context) error { return app.AskSimulator(ctx, a.url) })
	if err != nil {
		err = errors.Join(err, a.process.Stop())
	}
	return a, err
}

// stack is a `pricelake up` in a process of its own.
type stack struct {
	process   *Process
	endpoints app.Endpoints
}

func (s *Servers) startUp(ctx context.Context, o PathOptions, api string) (u stack, err error) {
	file := filepath.Join(s.dir, "catalog.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, pathCall, api+"/coinbase-exchange", o.Every), 0o600); err != nil {
		return u, fmt.Errorf("writing the catalog of the measurement: %w", err)
	}
	env := []string{
		"PRICELAKE_DATA_DIR=" + filepath.Join(s.dir, childUp),
		fmt.Sprintf("PRICELAKE_LAKE_FLUSH_INTERVAL=%v", o.Flush),
		"PRICELAKE_LOG_LEVEL=warn",
	}
	if u.process, err = s.Start(childUp, env, childUp, file); err != nil {
		return u, err
	}
	err = u.process.await(ctx, startPatience, func(context.Context) error {
		var known bool
		u.endpoints, known, err = app.ReadEndpoints(filepath.Join(s.dir, childUp))
		if err == nil && !known {
			err = errors.New("it has no endpoints")
		}
		return err
	})
	if err != nil {
		err = errors.Join(err, u.process.Stop())
	}
	return u, err
}

// pathReport makes a report of samples, which are in the order of their events.
func pathReport(o PathOptions, samples []pathSample, looks []time.Duration) *PathReport {
	r := &PathReport{Polls: o.Polls, EverySeconds: o.Every.Seconds(), FlushSeconds: o.Flush.Seconds(), Samples: len(samples)}
	slices.Sort(looks)
	r.ResolutionSeconds = percentile(looks, 990).Seconds()
	whole := func(s pathSample) time.Duration { return s.at[momentRow].Sub(s.at[momentEvent]) }
	slow := slices.SortedFunc(slices.Values(samples), func(a, b pathSample) int { return int(whole(b) - whole(a)) })
	slow = slow[:max(1, len(samples)/100)]
	for i, name := range stageNames() {
		from, to := moment(i), moment(i+1)
		r.Stages = append(r.Stages, pathStage(name, samples, slow, func(s pathSample) time.Duration { return s.at[to].Sub(s.at[from]) }))
	}
	r.Total = pathStage("event to row", samples, slow, whole)
	return r
}

func pathStage(name string, samples, slow []pathSample, took func(pathSample) time.Duration) PathStage {
	all := make([]time.Duration, 0, len(samples))
	for _, s := range samples {
		all = append(all, took(s))
	}
	slices.Sort(all)
	var sum time.Duration
	for _, s := range slow {
		sum += took(s)
	}
	return PathStage{Stage: name, P50: percentile(all, 500).Seconds(), P90: percentile(all, 900).Seconds(), P99: percentile(all, 990).Seconds(),
		Max: all[len(all)-1].Seconds(), Slowest: (sum / time.Duration(len(slow))).Seconds()}
}
