package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/accounts"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/sinks/lake"
)

// clickhouse looks at the lake.
func (d *doctor) clickhouse(ctx context.Context) {
	c := d.app.settings.Config.ClickHouse
	if !d.reach(ctx, areaClickHouse, "clickhouse.addr", c.Addr) {
		return
	}
	l, err := d.open(mainAccount)
	if err != nil {
		d.add(Finding{Verdict: VerdictFail, Area: areaClickHouse, Check: "login", Text: err.Error(), Remedy: "correct the configuration"})
		return
	}
	defer func() { _ = l.Close() }() // only questions were asked
	others := []func(context.Context){
		func(ctx context.Context) { d.otherAccount(ctx, readerAccount, accounts.Reader) },
		func(ctx context.Context) { d.otherAccount(ctx, migratorAccount, accounts.Migrator) },
	}
	if ok, refused := d.lakeServer(ctx, l); !ok {
		if refused { // the account, not the others
			inParallel(ctx, others...)
		}
		return
	}
	look := func(check, remedy string, fn func(context.Context, question, *lake.Lake) error) func(context.Context) {
		return func(ctx context.Context) {
			d.ask(ctx, areaClickHouse, check, remedy, func(ctx context.Context, q question) error { return fn(ctx, q, l) })
		}
	}
	const log = "look at the server's log"
	inParallel(ctx, append(others,
		look("migrations", log, d.migrations),
		look("rights", log, d.rights),
		look("disk", "give the account SELECT on system.disks, see docs/security.md", d.lakeDisks),
		look("parts", "give the account SELECT on system.parts, see docs/security.md", d.lakeParts))...)
}

// open opens the lake with patience for one check.
func (d *doctor) open(who lakeAccount) (*lake.Lake, error) {
	config := d.app.lakeConfig(who)
	config.DialTimeout = min(config.DialTimeout, d.options.Timeout)
	return lake.Open(config)
}

// lakeServer says whether the main account is let in, or is what is refused.
func (d *doctor) lakeServer(ctx context.Context, l *lake.Lake) (ok, refused bool) {
	d.ask(ctx, areaClickHouse, "login", "look at the server's log", func(ctx context.Context, q question) error {
		s, err := l.Server(ctx, d.options.Now)
		if lake.NotThere(err) {
			q.fail("", "run `pricelake migrate`, with an account that may make it", "there is no database %q", d.app.settings.Config.ClickHouse.Database)
			return nil
		}
		if err != nil {
			refused = errors.Is(err, secure.ErrAuthentication)
			return fmt.Errorf("%w; migrations, its rights and disks were not checked", err)
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
	return ok, refused
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
		settings.fail("", remedyFor(err, "let the account's profile change what the message names"), "%s", plain(err))
		return nil
	}
	settings.ok("", "the account may set what delivery relies on, and every table remembers insert tokens")
	return nil
}

const giveRights = "give it the rights of deploy/clickhouse, see docs/security.md"

func (d *doctor) rights(ctx context.Context, q question, l *lake.Lake) error {
	user := d.app.settings.Config.ClickHouse.User
	lacks, err := l.Lacks(ctx, d.rightsOf(accounts.Writer))
	if err != nil {
		return err
	}
	if len(lacks) > 0 {
		q.fail(user, giveRights, "it lacks rights of the role lake: %s", strings.Join(lacks, "; "))
		return nil
	}
	q.ok(user, "it has every right of the role lake")
	return nil
}

// rightsOf are the rights an account needs. Those on engines are asked for by
// some servers only.
func (d *doctor) rightsOf(account string) []string {
	return slices.DeleteFunc(accounts.Needed(account, d.app.settings.Config.ClickHouse.Database),
		func(right string) bool { return strings.HasPrefix(right, "TABLE ENGINE") })
}

// otherAccount looks at the account of people or of `migrate`, where there is
// one.
func (d *doctor) otherAccount(ctx context.Context, who lakeAccount, as string) {
	user := d.app.lakeConfig(who).User
	if user == d.app.lakeConfig(mainAccount).User {
		return
	}
	d.ask(ctx, areaClickHouse, "rights", giveRights, func(ctx context.Context, q question) (err error) {
		l, err := d.open(who)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		lacks, err := l.Lacks(ctx, d.rightsOf(as))
		if err != nil {
			return err
		}
		if len(lacks) > 0 {
			q.fail(user, giveRights, "it lacks %s", strings.Join(lacks, "; "))
			return nil
		}
		if who == readerAccount {
			return d.onlyReads(ctx, q, user, l)
		}
		q.ok(user, "it has every right of `migrate`")
		return nil
	})
}

// onlyReads checks that the account handed to people changes nothing.
func (d *doctor) onlyReads(ctx context.Context, q question, user string, l *lake.Lake) error {
	db := d.app.settings.Config.ClickHouse.Database
	writes := []string{"INSERT ON " + db + ".prices", "ALTER TABLE ON " + db + ".prices", "DROP TABLE ON " + db + ".prices", "TRUNCATE ON " + db + ".prices"}
	lacks, err := l.Lacks(ctx, writes)
	if err != nil {
		return err
	}
	if len(lacks) < len(writes) {
		q.warn(user, "use another account for clickhouse.reader_user, see docs/security.md", "the account that is handed to people may change the lake")
		return nil
	}
	q.ok(user, "it can read the lake and nothing else")
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
