package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// ApplyTopics creates the topics that are missing and sets what differs.
func (a *App) ApplyTopics(ctx context.Context) ([]kafka.TopicChange, error) {
	return kafka.ApplyTopics(ctx, a.kafkaConfig("topics"), kafka.Topics(a.profile))
}

// SchemaResult is one subject as `schemas check|register` shows it.
type SchemaResult struct {
	Subject string   `json:"subject"`
	ID      int      `json:"id,omitempty"`
	Reasons []string `json:"reasons,omitempty"` // why it is incompatible
}

// CheckSchemas compares this binary's schemas with those of the registry.
func (a *App) CheckSchemas(ctx context.Context) ([]SchemaResult, error) {
	var results []SchemaResult
	for _, s := range avro.Schemas() {
		reasons, err := a.registry.CheckCompatible(ctx, s.Name, s.Schema)
		if err != nil {
			return results, fmt.Errorf("checking %q: %w", s.Name, err)
		}
		results = append(results, SchemaResult{Subject: s.Name, Reasons: reasons})
	}
	return results, nil
}

// RegisterSchemas registers this binary's schemas under their subjects, each
// kept fully compatible: old and new roles run side by side during an upgrade.
// Registering again what is there changes nothing.
func (a *App) RegisterSchemas(ctx context.Context) ([]SchemaResult, error) {
	var results []SchemaResult
	for _, s := range avro.Schemas() {
		if err := a.registry.SetCompatibility(ctx, s.Name, avro.Compatibility); err != nil {
			return results, fmt.Errorf("setting the compatibility of %q: %w", s.Name, err)
		}
		id, err := a.registry.Register(ctx, s.Name, s.Schema)
		if err != nil {
			return results, fmt.Errorf("registering %q: %w", s.Name, err)
		}
		results = append(results, SchemaResult{Subject: s.Name, ID: id})
	}
	return results, nil
}

// Migrate brings the lake's tables and views to this binary's version, as the
// account for that where there is one, and returns what it applied.
func (a *App) Migrate(ctx context.Context) ([]lake.Migration, error) {
	l, err := lake.Open(a.lakeConfig(migratorAccount))
	if err != nil {
		return nil, err
	}
	applied, err := l.Migrate(ctx)
	return applied, errors.Join(err, l.Close())
}

// Query runs one SQL statement of a person, as the reading account where there
// is one unless write is set; see lake.Query.
func (a *App) Query(ctx context.Context, statement string, write bool, head func([]lake.Column) error, each func([]*string) error) error {
	who := readerAccount
	if write {
		who = mainAccount
	}
	l, err := lake.Open(a.lakeConfig(who))
	if err != nil {
		return err
	}
	return errors.Join(l.Query(ctx, statement, head, each), l.Close())
}
