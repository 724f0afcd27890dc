package app

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/pricelake/pricelake/processors/dedupe"
	"github.com/pricelake/pricelake/schemas"
)

var errNoDataDir = errors.New("the deduplicator keeps its state on disk: name a directory with --data-dir, PRICELAKE_DATA_DIR or data_dir")

// runDeduplicator drops repeats and numbers revisions.
func (a *App) runDeduplicator(ctx context.Context) error {
	observed, err := codec[schemas.Price](ctx, a, schemas.TopicObserved)
	if err != nil {
		return a.stopped(ctx, err)
	}
	prices, err := codec[schemas.Price](ctx, a, schemas.TopicPrices)
	if err != nil {
		return a.stopped(ctx, err)
	}
	dead, err := codec[schemas.DeadLetter](ctx, a, schemas.TopicDeadLetters)
	if err != nil {
		return a.stopped(ctx, err)
	}
	gate, err := a.gate(ctx, dedupe.Role)
	if err != nil {
		return a.stopped(ctx, err)
	}
	log, err := a.kafkaLog()
	if err != nil {
		return err
	}
	l, err := a.openLake()
	if err != nil {
		return err
	}
	d := dedupe.New(dedupe.Config{
		Dir:         filepath.Join(a.settings.Config.DataDir, "deduplicator"),
		Log:         log,
		Lake:        restoringLake{l},
		Decoder:     finalDecoder[schemas.Price]{observed, rejecting, new(strays)},
		Encoder:     prices,
		DeadLetters: dead,
		Logger:      a.log.With("part", dedupe.Role),
		Registerer:  a.metrics,
		Now:         time.Now,
		Failpoints:  a.settings.Failpoints,
	})
	defer d.Close()
	loop := a.transact(dedupe.Role, schemas.TopicObserved, schemas.TopicPrices, schemas.TopicDeadLetters)
	loop.Gate = gate
	held := new(heldPartitions)
	a.workingUnless(dedupe.Role, held.now)
	return loop.Run(ctx, held.stages(d.Open))
}
