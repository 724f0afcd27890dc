package lake

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// maxBlockRows bounds one INSERT: more would be cut into blocks by the server,
// and only one block is all or nothing.
const maxBlockRows = 1 << 20

// insertSettings are the settings that delivery relies on. None is left to a
// default: those moved in 24.7, 26.2 and 26.3. CheckSettings refuses a server
// that does not take them.
func (l *Lake) insertSettings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		// The answer to the INSERT is the answer about its rows.
		"async_insert": 0,
		// A repeat under the same token is dropped by the server.
		"insert_deduplicate":                                 1,
		"deduplicate_insert":                                 "enable",
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		// What is sent as one block becomes one part.
		"max_insert_block_size":                    maxBlockRows,
		"min_insert_block_size_rows":               maxBlockRows,
		"min_insert_block_size_bytes":              0,
		"max_partitions_per_insert_block":          1,
		"throw_on_max_partitions_per_insert_block": 1,
		// What is sent is what is stored.
		"insert_null_as_default": 0,
		"optimize_on_insert":     0,
		// What is not done by then will not be done.
		"max_execution_time":    int(l.config.InsertTimeout.Seconds()),
		"timeout_overflow_mode": "throw",
		"receive_timeout":       int(l.config.StallTimeout.Seconds()),
		"poll_interval":         1,
	}
}

// optionalSettings may be unknown to a server: those before 26.2 have no
// deduplicate_insert and do what it enables.
func optionalSettings() []string { return []string{"deduplicate_insert"} }

// CheckSettings says whether the lake has every migration of this version,
// whether the server lets this user set everything that delivery relies on, and
// whether every table that is loaded remembers enough tokens. Do not start a sink
// otherwise.
func (l *Lake) CheckSettings(ctx context.Context) error {
	if err := l.checkMigrated(ctx); err != nil {
		return err
	}
	return l.CheckRelied(ctx)
}

// leastWindow is how many inserts of a table the server must remember at least. A
// sink repeats one within InsertTimeout and a few pauses; meanwhile every other
// partition of the topic may write some each second.
const leastWindow = 1000

// CheckRelied is CheckSettings without the migrations.
func (l *Lake) CheckRelied(ctx context.Context) error {
	if err := l.checkInsertSettings(ctx); err != nil {
		return err
	}
	rows, err := l.conn.Query(ctx, `
		SELECT name, extract(create_table_query, 'deduplication_window = (\\d+)')
		FROM system.tables
		WHERE database = currentDatabase() AND name IN ?`, tableNames())
	if err != nil {
		return fmt.Errorf("reading the settings of the tables: %w", err)
	}
	defer rows.Close()
	missing := map[string]bool{}
	for _, name := range tableNames() {
		missing[name] = true
	}
	for rows.Next() {
		var name, window string
		if err := rows.Scan(&name, &window); err != nil {
			return fmt.Errorf("reading the settings of the tables: %w", err)
		}
		delete(missing, name)
		if n, err := strconv.Atoi(window); window == "" || err == nil && n < leastWindow {
			return fmt.Errorf("table %s remembers the tokens of the last %d inserts, and at least %d are needed, or an insert that is repeated after an outage may be in it twice: "+
				"run ALTER TABLE %[1]s MODIFY SETTING non_replicated_deduplication_window = 10000 (on a replicated table replicated_deduplication_window)", name, n, leastWindow)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the settings of the tables: %w", err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the tables %s are not there: run `pricelake migrate`", strings.Join(sorted(missing), ", "))
	}
	return nil
}

// checkInsertSettings reads the settings back through a query that is sent with
// them: a profile that forbids a change answers with an error, a server that
// does not know one with nothing.
func (l *Lake) checkInsertSettings(ctx context.Context) error {
	want := l.insertSettings("check")
	for _, name := range optionalSettings() {
		var n uint64
		if err := l.conn.QueryRow(ctx, "SELECT count() FROM system.settings WHERE name = ?", name).Scan(&n); err != nil {
			return fmt.Errorf("reading the settings of the server: %w", err)
		}
		if n == 0 {
			delete(want, name)
		}
	}
	// The driver makes a deadline the query's max_execution_time, over what is
	// asked for here.
	unhurried, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	set := clickhouse.Context(unhurried, clickhouse.WithSettings(maps.Clone(want)))
	rows, err := l.conn.Query(set, "SELECT name, value FROM system.settings WHERE name IN ?", sorted(want))
	if err != nil {
		return fmt.Errorf("the server does not let user %s set what delivery relies on: %w", l.config.User, err)
	}
	defer rows.Close()
	got := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return fmt.Errorf("reading the settings of the server: %w", err)
		}
		got[name] = value
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the settings of the server: %w", err)
	}
	for _, name := range sorted(want) {
		if value := fmt.Sprint(want[name]); got[name] != value {
			return fmt.Errorf("the server answers %q to %s = %s: delivery relies on it; let user %s change it", got[name], name, value, l.config.User)
		}
	}
	return nil
}
