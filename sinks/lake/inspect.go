package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// OldestServer is the oldest release of ClickHouse that the lake works with.
const OldestServer = "25.8"

// Server is what a server says about itself.
type Server struct {
	Version string
	// TooOld: it is older than OldestServer.
	TooOld bool
	// Ahead is how far its clock is ahead of ours, to half of RoundTrip.
	Ahead, RoundTrip time.Duration
}

// Server asks the server for its version and its time. now is our clock.
func (l *Lake) Server(ctx context.Context, now func() time.Time) (Server, error) {
	var s Server
	var theirs time.Time
	if err := l.conn.Ping(ctx); err != nil { // what making a connection costs is no round trip
		return s, fmt.Errorf("asking ClickHouse at %s for a sign of life: %w", l.config.Address, err)
	}
	asked := now()
	if err := l.conn.QueryRow(ctx, "SELECT version(), now64(6, 'UTC')").Scan(&s.Version, &theirs); err != nil {
		return s, fmt.Errorf("asking ClickHouse at %s for its version: %w", l.config.Address, err)
	}
	s.RoundTrip = now().Sub(asked)
	s.Ahead = theirs.Sub(asked.Add(s.RoundTrip / 2))
	s.TooOld = older(s.Version, OldestServer)
	return s, nil
}

// older compares the first two numbers of versions. What is no version is not
// older.
func older(version, than string) bool {
	is, want := numbers(version), numbers(than)
	return len(is) == 2 && slices.Compare(is, want) < 0
}

func numbers(version string) []int {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return nil
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return nil
	}
	return []int{major, minor}
}

// Migrations is how a lake's tables and views compare with this version's.
type Migrations struct {
	// Missing are files of sql/ that the lake has not seen.
	Missing []string
	// Newer are numbers of migrations that this version does not know: a later
	// one of pricelake was here.
	Newer []int64
}

// Migrations compares without changing anything. It needs no more than SELECT
// on the table of migrations. A database or table that is not there lacks all.
func (l *Lake) Migrations(ctx context.Context) (Migrations, error) {
	var m Migrations
	seen, err := l.migrationsSeen(ctx)
	if err != nil {
		return m, err
	}
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		return m, fmt.Errorf("listing the migrations: %w", err)
	}
	for _, name := range names {
		name = strings.TrimPrefix(name, "sql/")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return m, fmt.Errorf("reading the number of migration %q: %w", name, err)
		}
		if !seen[version] {
			m.Missing = append(m.Missing, name)
		}
		delete(seen, version)
	}
	for version := range seen {
		m.Newer = append(m.Newer, version)
	}
	slices.Sort(m.Newer)
	return m, nil
}

// Errors of ClickHouse that say that a thing is not there.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
)

func (l *Lake) migrationsSeen(ctx context.Context) (map[int64]bool, error) {
	seen := map[int64]bool{}
	// Number 0 is goose's own.
	rows, err := l.conn.Query(ctx, "SELECT version_id FROM "+versionTable+" WHERE version_id > 0 GROUP BY version_id HAVING argMax(is_applied, tstamp) = 1")
	if hasCode(err, codeUnknownTable, codeUnknownDatabase) {
		return seen, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of the lake: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		if err := rows.Scan(&version); err != nil {
			return nil, fmt.Errorf("reading the migrations of the lake: %w", err)
		}
		seen[version] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the migrations of the lake: %w", err)
	}
	return seen, nil
}

func hasCode(err error, codes ...int32) bool {
	var exception *clickhouse.Exception
	return errors.As(err, &exception) && slices.Contains(codes, exception.Code)
}

// checkMigrated says what to do when the lake lacks migrations.
func (l *Lake) checkMigrated(ctx context.Context) error {
	m, err := l.Migrations(ctx)
	if err != nil {
		return err
	}
	if len(m.Missing) > 0 {
		return fmt.Errorf("database %s lacks the migrations %s: run `pricelake migrate`", l.config.Database, strings.Join(m.Missing, ", "))
	}
	return nil
}

// Lacks returns which of the rights, written as in "SELECT ON a.b", the account
// does not have.
func (l *Lake) Lacks(ctx context.Context, rights []string) ([]string, error) {
	var lacks []string
	for _, right := range rights {
		var has uint8
		if err := l.conn.QueryRow(ctx, "CHECK GRANT "+right).Scan(&has); err != nil {
			return lacks, fmt.Errorf("asking for the rights of %s: %w", l.config.User, err)
		}
		if has == 0 {
			lacks = append(lacks, right)
		}
	}
	return lacks, nil
}

// Disk is a disk of the server.
type Disk struct {
	Name, Path  string
	Free, Total uint64 // bytes
}

// Disks returns the disks of the server.
func (l *Lake) Disks(ctx context.Context) ([]Disk, error) {
	rows, err := l.conn.Query(ctx, "SELECT name, path, unreserved_space, total_space FROM system.disks WHERE total_space > 0 ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("asking ClickHouse for its disks: %w", err)
	}
	defer rows.Close()
	var disks []Disk
	for rows.Next() {
		var d Disk
		if err := rows.Scan(&d.Name, &d.Path, &d.Free, &d.Total); err != nil {
			return nil, fmt.Errorf("asking ClickHouse for its disks: %w", err)
		}
		disks = append(disks, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("asking ClickHouse for its disks: %w", err)
	}
	return disks, nil
}

// MostParts returns the largest number of active parts that a partition of a
// loaded table has, and which table. ClickHouse slows INSERTs at 1000 and
// refuses them at 3000, unless set otherwise.
func (l *Lake) MostParts(ctx context.Context) (parts uint64, table string, err error) {
	err = l.conn.QueryRow(ctx, `
		SELECT max(parts), argMax(table, parts) FROM
		(
			SELECT table, count() AS parts FROM system.parts
			WHERE database = currentDatabase() AND active GROUP BY table, partition_id
		)`).Scan(&parts, &table)
	if err != nil {
		return 0, "", fmt.Errorf("counting the parts of the tables: %w", err)
	}
	return parts, table, nil
}

// NotThere says whether an error is about a database or table that does not
// exist.
func NotThere(err error) bool { return hasCode(err, codeUnknownDatabase, codeUnknownTable) }
