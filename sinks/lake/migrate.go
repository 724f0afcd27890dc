package lake

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

//go:embed sql/*.sql
var files embed.FS

// versionTable notes in the lake which migrations it has seen.
const versionTable = "migrations"

// Migration is one numbered file of sql/.
type Migration struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	// Applied is when the lake saw it, zero if it has not; Took how long it
	// was in the making, if this call made it.
	Applied time.Time     `json:"applied,omitzero"`
	Took    time.Duration `json:"took,omitzero"`
}

// Migrate makes the database, if it is not there, and brings its tables and views
// to this version. It returns what it applied, on an error too. A migration that
// failed half-way is safe to run again.
func (l *Lake) Migrate(ctx context.Context) ([]Migration, error) {
	if err := l.createDatabase(ctx); err != nil {
		return nil, err
	}
	var applied []Migration
	err := l.migrations(func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			results = partial.Applied
			err = fmt.Errorf("applying migration %s: %w", partial.Failed.Source.Path, partial.Err)
		}
		for _, r := range results {
			applied = append(applied, Migration{Version: r.Source.Version, Name: r.Source.Path, Applied: time.Now(), Took: r.Duration})
		}
		return err
	})
	if err != nil {
		return applied, fmt.Errorf("migrating the lake: %w", l.denied(err))
	}
	return applied, nil
}

// Status returns every migration this version knows, oldest first.
func (l *Lake) Status(ctx context.Context) ([]Migration, error) {
	var all []Migration
	err := l.migrations(func(p *goose.Provider) error {
		status, err := p.Status(ctx)
		for _, s := range status {
			all = append(all, Migration{Version: s.Source.Version, Name: s.Source.Path, Applied: s.AppliedAt})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the migrations of the lake: %w", err)
	}
	return all, nil
}

// migrations calls do with a provider over the database.
func (l *Lake) migrations(do func(*goose.Provider) error) (err error) {
	options, err := l.current(l.options)
	if err != nil {
		return err
	}
	db := clickhouse.OpenDB(options)
	defer func() { err = errors.Join(err, db.Close()) }()
	sqlFiles, err := fs.Sub(files, "sql")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectClickHouse, db, sqlFiles,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	return do(p)
}

// createDatabase does nothing when the database is there, so that it needs no
// right to make one.
func (l *Lake) createDatabase(ctx context.Context) error {
	options, err := l.current(l.options)
	if err != nil {
		return fmt.Errorf("making database %s at %s: %w", l.config.Database, l.config.Address, err)
	}
	options.Auth.Database = "system"
	db := clickhouse.OpenDB(options)
	defer db.Close()
	var there uint64
	err = db.QueryRowContext(ctx, "SELECT count() FROM system.databases WHERE name = ?", l.config.Database).Scan(&there)
	if err == nil && there == 0 {
		err = execute(ctx, db, "CREATE DATABASE IF NOT EXISTS "+l.config.Database)
	}
	if err != nil {
		return fmt.Errorf("making database %s at %s: %w", l.config.Database, l.config.Address, l.denied(l.explain(err)))
	}
	return nil
}

func execute(ctx context.Context, db *sql.DB, query string) error {
	_, err := db.ExecContext(ctx, query)
	return err
}
