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

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/schemas/avro"
)

// remedyFor takes the remedy out of an error that has one of its own.
func remedyFor(err error, otherwise string) string {
	var refused *secure.Error
	if errors.As(err, &refused) {
		return refused.Remedy
	}
	return otherwise
}

// reach says whether any of the addresses takes connections, and what is wrong
// with those that do not. key is where the configuration names them.
func (d *doctor) reach(ctx context.Context, area, key string, addrs ...string) bool {
	reached := make([]bool, len(addrs))
	var all []func(context.Context)
	for i, addr := range addrs {
		all = append(all, func(ctx context.Context) { reached[i] = d.dial(ctx, question{d, area, "address"}, key, addr) })
	}
	inParallel(ctx, all...)
	if !slices.Contains(reached, true) {
		question{d, area, "login"}.warn("", "mend the address first", "nothing else of %s was checked: it cannot be reached", area)
		return false
	}
	return true
}

func (d *doctor) dial(ctx context.Context, q question, key, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, d.options.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		q.fail(addr, "correct "+key+", or the name service of this machine", "no address for the name %q", name.Name)
	case err != nil:
		q.fail(addr, "start the server, or correct "+key, "%s", plain(err))
	default:
		_ = conn.Close() // nothing was sent
		q.ok(addr, "takes connections")
	}
	return err == nil
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
		inParallel(ctx,
			func(ctx context.Context) {
				d.ask(ctx, areaRegistry, "schemas", "look at the registry's log", d.schemas)
			},
			func(ctx context.Context) {
				d.ask(ctx, areaRegistry, "clock", "look at the registry's log", d.registryClock)
			})
	}
}

func (d *doctor) registryClock(ctx context.Context, q question) error {
	ahead, ok, err := d.app.registry.Ahead(ctx, d.options.Now)
	if err == nil && ok {
		q.clock("registry", ahead)
	}
	return err
}

const registerSchemas = "run `pricelake schemas register`"

func (d *doctor) schemas(ctx context.Context, q question) error {
	bad := 0
	for _, s := range avro.Schemas() {
		state, err := d.app.registry.Inspect(ctx, s)
		if err != nil {
			return err
		}
		unloaded, err := d.app.registry.Unloaded(ctx, s)
		if err != nil {
			return err
		}
		unreadable, err := d.app.registry.Unreadable(ctx, s)
		if err != nil {
			return err
		}
		for _, v := range unreadable {
			q.fail(s.Name, mendUnreadable, "%s", cannotBeRead(s, v))
		}
		switch {
		case len(unreadable) > 0:
		case len(unloaded) > 0:
			q.warn(s.Name, "upgrade, run `pricelake migrate`, and rebuild what was loaded before", "%s", passedOver(s, unloaded))
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

// passedOver says which fields of a subject's records this version leaves out.
func passedOver(s avro.Subject, fields []string) string {
	return fmt.Sprintf("records of %s may have fields that this version does not know and passes over: %s", s.Topic, strings.Join(fields, ", "))
}

const mendUnreadable = "stop who writes it, and run a version of pricelake that reads it; docs/operations.md says what to do where there is none"

// cannotBeRead says which records of a subject this version cannot read.
func cannotBeRead(s avro.Subject, v avro.UnreadableVersion) string {
	return fmt.Sprintf("version %d of %s (schema id %d) cannot be read as this version's schema: %s. A table waits at the first record of %s that was written with it",
		v.Version, s.Name, v.ID, v.Reason, s.Topic)
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
