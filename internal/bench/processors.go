package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// ProcessorOptions say how the processors are measured.
type ProcessorOptions struct {
	// Servers.Dir gets a folder for each run; without Keep it is removed when
	// the run is over.
	Servers    ServerOptions
	Keep       bool
	Events     int64 // events of the deduplicator, prices of the normalizer, in each run
	Runs       int
	Partitions int
	Profile    string // folder for profiles of the first run of each; empty: none
	// Only, if not empty, says which processors are measured.
	Only []string
	// Progress is told what was measured, line by line.
	Progress func(format string, args ...any)
}

// Drain is what a role has used from the start of its process until everything
// that it was given is committed.
type Drain struct {
	Events int64
	Took   time.Duration
	Usage  Usage
}

// PerCPUSecond is the events that a CPU second was enough for.
func (d Drain) PerCPUSecond() float64 { return float64(d.Events) / d.Usage.CPU.Seconds() }

// String is the drain in a line.
func (d Drain) String() string {
	return fmt.Sprintf("%d events in %.2f s, %.2f CPU s: %.0f a CPU second, peak %d MiB",
		d.Events, d.Took.Seconds(), d.Usage.CPU.Seconds(), d.PerCPUSecond(), d.Usage.PeakRSS>>20)
}

// Processors measures the processors between topics: what one CPU second of the
// role is enough for, with everything it promises.
func Processors(ctx context.Context, o ProcessorOptions) (*ProcessorReport, error) {
	r := &ProcessorReport{}
	for _, step := range []struct {
		name string
		run  func(*processorBench, context.Context) error
	}{{deduplicator, (*processorBench).deduplicator}, {normalizer, (*processorBench).normalizer}} {
		if len(o.Only) > 0 && !slices.Contains(o.Only, step.name) {
			continue
		}
		for number := range o.Runs {
			if err := o.once(ctx, step.name, number, r, step.run); err != nil {
				return r, fmt.Errorf("measuring the %s: %w", step.name, err)
			}
		}
	}
	r.finish()
	return r, nil
}

// The roles that are measured.
const (
	deduplicator = "deduplicator"
	normalizer   = "normalizer"
)

// processorBench is one run: servers of its own, so that every run begins with
// nothing.
type processorBench struct {
	ProcessorOptions
	servers *Servers
	admin   *kafka.Admin
	number  int
	report  *ProcessorReport
}

func (o ProcessorOptions) once(ctx context.Context, name string, number int, r *ProcessorReport, run func(*processorBench, context.Context) error) (err error) {
	o.Servers.Dir = filepath.Join(o.Servers.Dir, fmt.Sprintf("%s-%d", name, number+1))
	if !o.Keep {
		defer func() { err = errors.Join(err, os.RemoveAll(o.Servers.Dir)) }()
	}
	s, err := StartServers(ctx, o.Servers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.SetUp(ctx, o.Partitions); err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(s.kafkaConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	return run(&processorBench{ProcessorOptions: o, servers: s, admin: admin, number: number, report: r}, ctx)
}

// drain runs a role until its group has committed everything of its input topic,
// and ends it.
func (b *processorBench) drain(ctx context.Context, role, topic string, events int64, profile string) (d Drain, err error) {
	profiles, err := profilesIn(profile)
	if err != nil {
		return d, err
	}
	start := time.Now()
	p, err := b.servers.StartRole(role, b.Partitions, profiles)
	if err != nil {
		return d, err
	}
	d.Events = events
	if err = settled(ctx, b.admin, "pricelake."+role, topic, p); err == nil {
		d.Took = time.Since(start)
		d.Usage, err = p.Usage()
	}
	return d, errors.Join(err, p.Stop())
}

// settled waits until the group has committed the end of a topic.
func settled(ctx context.Context, admin *kafka.Admin, group, topic string, p *Process) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		positions, err := admin.Positions(ctx, group, topic)
		if err != nil {
			return err
		}
		if len(positions) > 0 && !slices.ContainsFunc(positions, func(p kafka.Position) bool { return p.Lag() > 0 }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// count returns the committed records of a topic.
func (b *processorBench) count(ctx context.Context, topic string) (n int64, err error) {
	err = b.servers.each(ctx, topic, func(stream.Record) error { n++; return nil })
	return n, err
}

// each calls do with the committed records of a topic, read by a client that is no
// member of any group.
func (s *Servers) each(ctx context.Context, topic string, do func(stream.Record) error) error {
	log, err := kafka.NewLog(s.kafkaConfig())
	if err != nil {
		return err
	}
	defer log.Close()
	_, partitions, err := log.Describe(ctx, topic)
	if err != nil {
		return err
	}
	for p := range partitions {
		if _, err := log.ReadCommitted(ctx, stream.TopicPartition{Topic: topic, Partition: p}, 0, do); err != nil {
			return err
		}
	}
	return nil
}

// profileOf is the folder of a profile of the first run.
func (b *processorBench) profileOf(name string) string {
	if b.Profile == "" || b.number > 0 {
		return ""
	}
	return filepath.Join(b.Profile, name)
}

// deduplicator measures events that are all new, then the same events again, with
// the state that it has then.
func (b *processorBench) deduplicator(ctx context.Context) error {
	f, err := fill(ctx, b.servers, schemas.TopicObserved, b.Events)
	if err != nil {
		return err
	}
	b.Progress("deduplicator %d: %d prices in %d partitions, %d bytes each, published in %.1f s",
		b.number+1, f.Rows, b.Partitions, f.Bytes/max(f.Rows, 1), f.Took.Seconds())
	fresh, err := b.drain(ctx, deduplicator, schemas.TopicObserved, b.Events, b.profileOf(deduplicator))
	if err != nil {
		return err
	}
	identities, err := b.count(ctx, schemas.TopicPrices)
	if err != nil {
		return err
	}
	if identities > b.Events || identities < b.Events*99/100 {
		return fmt.Errorf("%d events gave %d prices", b.Events, identities)
	}
	bytes, err := size(filepath.Join(b.servers.dir, deduplicator))
	if err != nil {
		return err
	}
	b.Progress("deduplicator %d, all new: %v; %.1f bytes of state for each", b.number+1, fresh, float64(bytes)/float64(identities))
	if err := b.admin.ForgetGroup(ctx, "pricelake."+deduplicator); err != nil {
		return err
	}
	again, err := b.drain(ctx, deduplicator, schemas.TopicObserved, b.Events, b.profileOf(deduplicator+"-repeats"))
	if err != nil {
		return err
	}
	if n, err := b.count(ctx, schemas.TopicPrices); err != nil || n != identities {
		return errors.Join(err, fmt.Errorf("%d prices became %d when they came again", identities, n))
	}
	b.Progress("deduplicator %d, all repeats: %v", b.number+1, again)
	r := &b.report.Deduplicator
	r.Identities = identities
	r.Fresh, r.Repeats = append(r.Fresh, fresh), append(r.Repeats, again)
	r.StateBytesPerID = max(r.StateBytesPerID, float64(bytes)/float64(identities))
	return nil
}

// size is what the files in a folder take.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		return n, fmt.Errorf("adding up what is in %q: %w", dir, err)
	}
	return n, nil
}
