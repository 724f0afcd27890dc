package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// remedyFor takes the remedy out of an error that has one of its own.
func remedyFor(err error, otherwise string) string {
	var refused *secure.Error
	if errors.As(err, &refused) {
		if i := strings.LastIndex(refused.Text, ": "); i >= 0 {
			return refused.Text[i+2:]
		}
		return refused.Text
	}
	return otherwise
}

// reach says whether any of the addresses takes connections, and what is wrong
// with those that do not. key is where the configuration names them.
func (d *doctor) reach(ctx context.Context, area, key string, addrs ...string) bool {
	reached := make([]bool, len(addrs))
	var all []func(context.Context)
	for i, addr := range addrs {
		all = append(all, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, d.options.Timeout)
			defer cancel()
			q := question{d, area, "address"}
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			var name *net.DNSError
			switch {
			case errors.As(err, &name):
				q.fail(addr, "correct "+key+", or the name service of this machine", "no address for the name %q; the rest of %s was not checked", name.Name, area)
			case err != nil:
				q.fail(addr, "start the server, or correct "+key, "%s; the rest of %s was not checked", plain(err, d.options.Timeout), area)
			default:
				reached[i] = true
				_ = conn.Close() // nothing was sent
				q.ok(addr, "takes connections")
			}
		})
	}
	inParallel(ctx, all...)
	return slices.Contains(reached, true)
}

// machine looks at this machine.
func (d *doctor) machine(ctx context.Context) {
	c := d.app.settings.Config
	q := question{d, areaConfiguration, "values"}
	q.ok("", "brokers %s, registry %s, ClickHouse %s", strings.Join(c.Kafka.Brokers, ","), withoutPassword(c.Registry.URL), c.ClickHouse.Addr)
	if !d.about(dedupe.Role) {
		return
	}
	disk := question{d, areaMachine, "disk"}
	switch dir := c.DataDir; {
	case dir == "" && slices.Contains(d.options.Roles, dedupe.Role):
		disk.fail("", "name one with --data-dir, PRICELAKE_DATA_DIR or data_dir", "there is no data dir, which the deduplicator needs")
	case dir != "":
		free, err := embed.Headroom(existing(dir))
		if err != nil {
			disk.fail(dir, "correct data_dir", "%s", err)
			return
		}
		disk.space(dir, "make room, or choose another data dir", free, 0)
	}
}

// existing is the nearest folder above that is there: roles make their own.
func existing(dir string) string {
	for {
		if _, err := embed.Headroom(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(not a URL)"
	}
	u.User = nil
	return u.String()
}

// registry looks at the schema registry.
func (d *doctor) registry(ctx context.Context) {
	u, err := url.Parse(d.app.settings.Config.Registry.URL)
	if err != nil {
		return // the configuration was refused for it
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"https": "443"}[u.Scheme])
		if u.Scheme == "http" {
			addr = net.JoinHostPort(u.Hostname(), "80")
		}
	}
	if !d.reach(ctx, areaRegistry, "registry.url", addr) {
		return
	}
	answers := false
	d.ask(ctx, areaRegistry, "login", "look at the registry's log; registry.url must be where its Confluent API begins", func(ctx context.Context, q question) error {
		mode, err := d.app.registry.Mode(ctx)
		if err != nil {
			return fmt.Errorf("%w; schemas were not checked", err)
		}
		answers = true
		if mode != "" && mode != avro.ReadWrite {
			q.warn("", "set its mode to READWRITE before `pricelake schemas register`", "the registry is in mode %s: it takes no new schemas", mode)
			return nil
		}
		q.ok("", "the registry answers and takes schemas")
		return nil
	})
	if answers {
		d.ask(ctx, areaRegistry, "schemas", "look at the registry's log", d.schemas)
	}
}

const registerSchemas = "run `pricelake schemas register`"

func (d *doctor) schemas(ctx context.Context, q question) error {
	bad := 0
	for _, s := range avro.Schemas() {
		state, err := d.app.registry.Inspect(ctx, s)
		if err != nil {
			return err
		}
		switch {
		case state.Versions == 0:
			q.fail(s.Name, registerSchemas, "it is not registered")
		case !state.Registered:
			if err := d.oldSchema(ctx, q, s, state); err != nil {
				return err
			}
		case state.Level != avro.Compatibility:
			q.warn(s.Name, registerSchemas, "its compatibility is %s instead of %s: the registry would take a schema that others cannot read", state.Level, avro.Compatibility)
		default:
			continue
		}
		bad++
	}
	if bad == 0 {
		q.ok("", "%s are registered, %s", plural(len(avro.Schemas()), "schema"), avro.Compatibility)
	}
	return nil
}

// oldSchema tells a schema that has to be registered from one that cannot be.
func (d *doctor) oldSchema(ctx context.Context, q question, s avro.Subject, state avro.SubjectState) error {
	reasons, err := d.app.registry.CheckCompatible(ctx, s.Name, s.Schema)
	if err != nil {
		return err
	}
	if len(reasons) > 0 {
		q.fail(s.Name, "run the version of pricelake that registered it, or a later one", "this binary's schema is incompatible with the %s there: %s",
			plural(state.Versions, "version"), strings.Join(reasons, "; "))
		return nil
	}
	q.fail(s.Name, registerSchemas, "the registry has an old schema: none of its %s is this binary's", plural(state.Versions, "version"))
	return nil
}

// clickhouse looks at the lake.
func (d *doctor) clickhouse(ctx context.Context) {
	c := d.app.settings.Config.ClickHouse
	if !d.reach(ctx, areaClickHouse, "clickhouse.addr", c.Addr) {
		return
	}
	l, err := d.app.openLake()
	if err != nil {
		d.add(Finding{Verdict: VerdictFail, Area: areaClickHouse, Check: "login", Text: err.Error(), Remedy: "correct the configuration"})
		return
	}
	if !d.lakeServer(ctx, l) {
		return
	}
	look := func(check, remedy string, fn func(context.Context, question, *lake.Lake) error) func(context.Context) {
		return func(ctx context.Context) {
			d.ask(ctx, areaClickHouse, check, remedy, func(ctx context.Context, q question) error { return fn(ctx, q, l) })
		}
	}
	const log = "look at the server's log"
	inParallel(ctx,
		look("migrations", log, d.migrations),
		look("rights", log, d.rights),
		look("disk", "give the account SELECT on system.disks, see docs/security.md", d.lakeDisks),
		look("parts", "give the account SELECT on system.parts, see docs/security.md", d.lakeParts))
}

func (d *doctor) lakeServer(ctx context.Context, l *lake.Lake) (ok bool) {
	d.ask(ctx, areaClickHouse, "login", "look at the server's log", func(ctx context.Context, q question) error {
		s, err := l.Server(ctx, d.options.Now)
		if lake.NotThere(err) {
			q.fail("", "run `pricelake migrate`, with an account that may make it", "there is no database %q", d.app.settings.Config.ClickHouse.Database)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w; migrations, rights and disks were not checked", err)
		}
		ok = true
		q.ok("", "user %s is let in", d.app.settings.Config.ClickHouse.User)
		version := question{d, areaClickHouse, "version"}
		if s.TooOld {
			version.fail("", "update the server to "+lake.OldestServer+" or later", "ClickHouse %s is too old", s.Version)
		} else {
			version.ok("", "ClickHouse %s", s.Version)
		}
		question{d, areaClickHouse, "clock"}.clock("server", s.Ahead)
		return nil
	})
	return ok
}

func (d *doctor) migrations(ctx context.Context, q question, l *lake.Lake) error {
	m, err := l.Migrations(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(m.Missing) > 0:
		q.fail("", "run `pricelake migrate`", "the lake lacks %s", strings.Join(m.Missing, ", "))
		return nil
	case len(m.Newer) > 0:
		q.warn("", "run the newer version everywhere", "a newer version of pricelake has migrated the lake to %d", slices.Max(m.Newer))
	default:
		q.ok("", "the lake has every migration of this version")
	}
	settings := question{d, areaClickHouse, "settings"}
	if err := l.CheckRelied(ctx); err != nil {
		settings.fail("", remedyFor(err, "let the account's profile change what the message names"), "%s", plain(err, d.options.Timeout))
		return nil
	}
	settings.ok("", "the account may set what delivery relies on, and every table remembers insert tokens")
	return nil
}

func (d *doctor) rights(ctx context.Context, q question, l *lake.Lake) error {
	c := d.app.settings.Config.ClickHouse
	const remedy = "give it the rights of deploy/clickhouse, see docs/security.md"
	lacks, err := l.Lacks(ctx, accounts.Needed(accounts.Writer, c.Database))
	if err != nil {
		return err
	}
	if len(lacks) > 0 {
		q.fail(c.User, remedy, "it lacks %s", strings.Join(lacks, "; "))
		return nil
	}
	q.ok(c.User, "it has every right of the role lake")
	return nil
}

func (d *doctor) lakeDisks(ctx context.Context, q question, l *lake.Lake) error {
	disks, err := l.Disks(ctx)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		q.space(disk.Name+" ("+disk.Path+")", "make room: at 0 the server takes no more rows", disk.Free, disk.Total)
	}
	return nil
}

func (d *doctor) lakeParts(ctx context.Context, q question, l *lake.Lake) error {
	const slow = 1000
	parts, table, err := l.MostParts(ctx)
	if err != nil {
		return err
	}
	if parts >= slow {
		q.warn(table, "see whether merges run (system.merges) and the disk has room; raise lake.flush_interval", "a partition has %d parts: INSERTs are slowed down", parts)
		return nil
	}
	q.ok("", "at most %s in a partition", plural(int(parts), "part"))
	return nil
}
