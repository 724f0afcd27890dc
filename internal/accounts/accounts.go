// Package accounts says what the accounts of the lake's ClickHouse may do. It is
// the one source of deploy/clickhouse (users.d as XML and the same in SQL), of the
// reader of the embedded server, and of what `pricelake doctor` asks a server.
package accounts

import "slices"

// The accounts. Their names carry the product's, because a server may be shared.
const (
	Migrator = "pricelake_migrator"
	Writer   = "pricelake_writer"
	Reader   = "pricelake_reader"
)

// Grant is one right, or several on the same thing, given or taken back.
type Grant struct {
	// Rights and On as GRANT takes them: "SELECT(a, b)" and "lake.prices".
	Rights, On string
	// Why somebody needs it, for those who read the files.
	Why string
	// Revoke takes back a part of what a wider grant before it gave.
	Revoke bool
}

// String is the statement that the users.d of a server takes.
func (g Grant) String() string {
	if g.Revoke {
		return "REVOKE " + g.Rights + " ON " + g.On
	}
	return "GRANT " + g.Rights + " ON " + g.On
}

// For is the same about a role.
func (g Grant) For(role string) string {
	if g.Revoke {
		return g.String() + " FROM " + role
	}
	return g.String() + " TO " + role
}

// Account is one user of the server.
type Account struct {
	Name    string
	Purpose string
	Grants  []Grant
	// Profile holds settings of the account and what it may do to them.
	Profile []Setting
	// StartsIn is the database it starts in. Others name one when they connect;
	// who is given one that does not exist yet cannot even make it.
	StartsIn string
	// QueriesPerMinute is the account's quota, 0 for none.
	QueriesPerMinute int
}

// Setting is a setting of a profile. With Max the account may change it within
// Min and Max, with Const it may not change it.
type Setting struct {
	Name, Value string
	Min, Max    string
	Const       bool
}

// All returns the accounts of a lake in a database, those with more rights first.
func All(database string) []Account {
	return []Account{
		{
			Name:    Migrator,
			Purpose: "Makes and alters tables and views: `pricelake migrate`. It can remove no row.",
			Grants:  migratorGrants(database),
			Profile: logged(),
		},
		{
			Name:    Writer,
			Purpose: "Loads the tables: the role lake, and `status`, `verify`, `doctor`; gives a deduplicator that lost its disk the prices back. Of other tables it reads where rows come from, hardly what is in them.",
			Grants:  writerGrants(database),
			// The role sends every setting it relies on with each INSERT, so
			// nothing is fixed here.
			Profile: logged(),
		},
		{
			Name:             Reader,
			Purpose:          "For people and their tools: `pricelake sql`, Grafana, notebooks. It reads the lake, within limits, and nothing else.",
			Grants:           ReaderGrants(database),
			Profile:          ReaderProfile(),
			StartsIn:         database,
			QueriesPerMinute: ReaderQueriesPerMinute,
		},
	}
}

func migratorGrants(db string) []Grant {
	give := func(rights, on, why string) Grant { return Grant{Rights: rights, On: on, Why: why} }
	grants := []Grant{
		give("CREATE DATABASE, CREATE TABLE, CREATE VIEW", db+".*", "New tables and views."),
		give("ALTER COLUMN, ALTER INDEX, ALTER PROJECTION, ALTER CONSTRAINT, ALTER TTL, ALTER SETTINGS, ALTER VIEW", db+".*",
			"Changes of tables. ALTER UPDATE and ALTER DELETE, which change rows, are left out."),
		give("DROP VIEW", db+".*", "CREATE OR REPLACE VIEW drops the old one, under a name that the server makes. There is no other DROP TABLE and no TRUNCATE."),
		give("DROP TABLE", db+"._tmp_replace_*", ""),
		give("SELECT", db+".*", "The server lets nobody make a view of what they cannot read. Also to see which migrations there were."),
		give("INSERT", db+".*", "To note a migration; and the server wants it of who replaces a view. The tables of the lake are taken back."),
	}
	for _, t := range loaded() {
		grants = append(grants, Grant{Rights: "INSERT", On: db + "." + t.table, Revoke: true})
	}
	grants = append(grants, Grant{Rights: "INSERT", On: db + ".audits", Revoke: true})
	return append(grants,
		give("TABLE ENGINE", "MergeTree", "For servers where engines need a grant."),
		give("TABLE ENGINE", "ReplacingMergeTree", ""),
		give("TABLE ENGINE", "ReplicatedMergeTree", ""),
		give("TABLE ENGINE", "ReplicatedReplacingMergeTree", ""),
		give("TABLE ENGINE", "View", ""))
}

// lineage is where a row comes from: what recovery and `verify` look up.
const lineage = "_topic_id, _partition, _offset, _lake_epoch, recorded_at"

// loaded are the tables of the lake role, with what it reads in them beside the
// lineage.
func loaded() []struct{ table, columns, why string } {
	return []struct{ table, columns, why string }{
		{"prices", "event_id, revision, event_time, withdrawn, price, bid, ask, size", "`verify` counts (event_id, revision), `status` shows the newest event_time. A deduplicator that lost its disk reads back what was said."},
		{"prices_rejected", "fetched_at", "`status`: the newest row."},
		{"polls", "call_id, provider, outcome, error, valued, finished_at", "`status`: how the calls do."},
		{"responses", "fetched_at", "`status`: the newest row. The bodies stay closed."},
		{"dead_letters", "origin_topic, origin_topic_id, origin_partition, origin_offset, role, failed_at", "`verify`: a record that was given up is not missing."},
		{"instruments_history", "instrument, defined_at", "`verify`: the latest row of a key."},
		{"calls_history", "call_id, defined_at", "`verify`: the latest row of a key."},
	}
}

func writerGrants(db string) []Grant {
	var grants []Grant
	for _, t := range loaded() {
		grants = append(grants,
			Grant{Rights: "INSERT", On: db + "." + t.table},
			Grant{Rights: "SELECT(" + lineage + ", " + t.columns + ")", On: db + "." + t.table, Why: t.why})
	}
	return append(grants,
		Grant{Rights: "SELECT, INSERT", On: db + ".audits", Why: "What the role has proven of the tables."},
		Grant{Rights: "SELECT", On: db + ".rebuilds", Why: "Which filling of the lake it writes."},
		Grant{Rights: "SELECT", On: db + ".migrations", Why: "The role waits for the migrations it needs."},
		Grant{Rights: "SELECT", On: "system.processes", Why: "KILL QUERY looks there. Everyone may end their own queries, which is what ends the INSERTs of a killed process; those of others need a right that is not granted."},
		Grant{Rights: "SELECT", On: "system.settings", Why: "The role reads back the settings that delivery relies on."},
		Grant{Rights: "SELECT", On: "system.disks", Why: "`doctor`: how full the disks are."},
		Grant{Rights: "SELECT", On: "system.parts", Why: "`doctor`: how many parts a partition has."},
	)
}

// ReaderGrants are the rights of those who only read a database. Every table and
// view in it is for them (docs/sql.md); the system tables are those that drivers,
// Grafana and notebooks look at, and none of them tells of others' queries, users
// or files.
func ReaderGrants(db string) []Grant {
	grants := []Grant{{Rights: "SHOW, SELECT", On: db + ".*", Why: "Every table and view of docs/sql.md."}}
	for i, table := range []string{"databases", "tables", "columns", "settings", "functions", "formats", "data_type_families", "one", "numbers", "time_zones", "build_options"} {
		g := Grant{Rights: "SELECT", On: "system." + table}
		if i == 0 {
			g.Why = "What drivers, Grafana and notebooks look at. Left out: users, grants, processes, query_log, disks and all the others."
		}
		grants = append(grants, g)
	}
	return append(grants,
		Grant{Rights: "SELECT", On: "information_schema.*", Why: "The same in the words of the standard; its view tables adds up system.parts, which shows nobody the parts of tables that are not theirs."},
		Grant{Rights: "SELECT", On: "INFORMATION_SCHEMA.*"},
		Grant{Rights: "SELECT", On: "system.parts"})
}

// ReaderQueriesPerMinute is the quota of the reader.
const ReaderQueriesPerMinute = 1200

// ReaderProfile are the limits of a reader. readonly is 2, not 1: drivers send
// settings with each query, and may lower these limits but not lift them. A
// zero, which means no limit, is outside of every range.
func ReaderProfile() []Setting {
	const gib = "1073741824"
	bounded := func(name, most string) Setting { return Setting{Name: name, Value: most, Min: "1", Max: most} }
	fixed := func(name, value string) Setting { return Setting{Name: name, Value: value, Const: true} }
	return []Setting{
		{Name: "readonly", Value: "2"},
		bounded("max_execution_time", "60"),
		bounded("max_memory_usage", "2147483648"),
		fixed("max_memory_usage_for_user", "4294967296"),
		bounded("max_result_rows", "10000000"),
		bounded("max_result_bytes", gib),
		bounded("max_bytes_to_read", "107374182400"),
		bounded("max_temporary_data_on_disk_size_for_query", "10737418240"),
		fixed("max_temporary_data_on_disk_size_for_user", "10737418240"),
		fixed("max_concurrent_queries_for_user", "8"),
		fixed("timeout_overflow_mode", "throw"),
		fixed("read_overflow_mode", "throw"),
		fixed("cancel_http_readonly_queries_on_client_close", "1"),
		fixed("log_queries", "1"),
		fixed("log_queries_probability", "1"),
		fixed("log_queries_min_query_duration_ms", "0"),
		fixed("log_queries_min_type", "QUERY_START"),
		fixed("add_http_cors_header", "0"),
	}
}

// logged makes the queries of an account go to system.query_log.
func logged() []Setting { return []Setting{{Name: "log_queries", Value: "1"}} }

// Limited says whether the profile keeps the account from changing anything.
func (a Account) Limited() bool {
	return slices.ContainsFunc(a.Profile, func(s Setting) bool { return s.Const || s.Max != "" })
}

// Needed returns the rights of an account, each as CHECK GRANT takes it.
func Needed(account, database string) []string {
	var needed []string
	for _, a := range All(database) {
		for _, g := range a.Grants {
			if a.Name == account && !g.Revoke {
				needed = append(needed, g.Rights+" ON "+g.On)
			}
		}
	}
	return needed
}
