package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/catalog"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// ApplyOptions say how a catalog becomes the active one.
type ApplyOptions struct {
	DryRun bool // publish nothing
	Keep   bool // leave what the catalog does not name
}

// CatalogChange is one difference between a catalog and the active one.
type CatalogChange struct {
	Change  string `json:"change"` // added, changed, removed
	What    string `json:"what"`   // call, instrument
	ID      string `json:"id"`
	Version string `json:"version,omitempty"`
}

// catalogTxn is the transactional id of `catalog apply`: two at once fence each
// other instead of mixing.
const catalogTxn = "pricelake-catalog"

// ApplyCatalog publishes the difference between cat and the active catalog in
// one transaction, so that a reader sees all of it or nothing.
func (a *App) ApplyCatalog(ctx context.Context, cat *catalog.Catalog, opts ApplyOptions) ([]CatalogChange, error) {
	txn, err := kafka.NewTxn(a.kafkaConfig("catalog"), catalogTxn, kafka.WithOutputs(schemas.TopicCalls, schemas.TopicInstruments))
	if err != nil {
		return nil, err
	}
	defer txn.Close()
	if !opts.DryRun {
		// Before reading: nobody who read an older catalog can write any more.
		if err := txn.Open(ctx); err != nil {
			return nil, err
		}
	}
	active, err := a.activeCatalog(ctx)
	if err != nil {
		return nil, err
	}
	d := catalogDelta{now: time.Now().UTC().Truncate(time.Microsecond), next: cat, keep: opts.Keep}
	cat.Stamp(d.now)
	if d.calls, err = codec[schemas.CallDefined](ctx, a, schemas.TopicCalls); err != nil {
		return nil, err
	}
	if d.instruments, err = codec[schemas.InstrumentDefined](ctx, a, schemas.TopicInstruments); err != nil {
		return nil, err
	}
	if err := d.collect(catalog.Diff(active, cat)); err != nil {
		return nil, err
	}
	if opts.DryRun || len(d.records) == 0 {
		return d.changes, nil
	}
	switch err := txn.Publish(ctx, d.records...); {
	case errors.Is(err, kafka.ErrOutcomeUnknown):
		return nil, fmt.Errorf("publishing the catalog: %w; `catalog ls` says which one is active, applying again is safe", err)
	case err != nil:
		return nil, fmt.Errorf("publishing the catalog: %w; the one before stays active", err)
	}
	return d.changes, nil
}

// ActiveCalls returns the calls of the active catalog in order of their ids.
func (a *App) ActiveCalls(ctx context.Context) ([]schemas.CallDefined, error) {
	active, err := a.activeCatalog(ctx)
	if err != nil {
		return nil, err
	}
	return active.Calls, nil
}

// activeCatalog reads the catalog that is in force, in order of the ids.
func (a *App) activeCatalog(ctx context.Context) (*catalog.Catalog, error) {
	calls, err := latestByKey[schemas.CallDefined](ctx, a, schemas.TopicCalls)
	if err != nil {
		return nil, err
	}
	instruments, err := latestByKey[schemas.InstrumentDefined](ctx, a, schemas.TopicInstruments)
	if err != nil {
		return nil, err
	}
	return &catalog.Catalog{Calls: inOrder(calls), Instruments: inOrder(instruments)}, nil
}

// inOrder returns the values in order of their keys.
func inOrder[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

// latestByKey reads a compacted topic: the latest value of each key, without
// the removed ones.
func latestByKey[T any](ctx context.Context, a *App, topic string) (map[string]T, error) {
	log, err := a.kafkaLog()
	if err != nil {
		return nil, err
	}
	dec, err := codec[T](ctx, a, topic)
	if err != nil {
		return nil, err
	}
	_, partitions, err := log.Describe(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("describing %q: %w", topic, err)
	}
	latest := map[string]T{}
	for p := range partitions {
		_, err := log.ReadCommitted(ctx, stream.TopicPartition{Topic: topic, Partition: p}, 0, func(r stream.Record) error {
			if r.Value == nil {
				delete(latest, string(r.Key))
				return nil
			}
			var v T
			err := dec.Decode(ctx, r.Value, &v)
			if errors.Is(err, avro.ErrBadRecord) {
				a.log.Error("definition cannot be read and is passed over; applying a catalog replaces it", "topic", topic, "key", string(r.Key), "offset", r.Offset, "err", err)
				return nil
			}
			if err != nil {
				return fmt.Errorf("decoding %q: %w", r.Key, err)
			}
			latest[string(r.Key)] = v
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s[%d]: %w", topic, p, err)
		}
	}
	return latest, nil
}

// encoder appends the wire form of a record.
type encoder[T any] interface {
	Append(dst []byte, v *T) ([]byte, error)
}

// catalogDelta collects what has to be published to make next the active
// catalog.
type catalogDelta struct {
	now         time.Time
	next        *catalog.Catalog
	keep        bool
	calls       encoder[schemas.CallDefined]
	instruments encoder[schemas.InstrumentDefined]

	records []stream.Record
	changes []CatalogChange
}

func (d *catalogDelta) collect(diff catalog.Difference) error {
	for i := range d.next.Instruments {
		in := &d.next.Instruments[i]
		if slices.Contains(diff.Instruments.Unchanged, in.Instrument) {
			continue
		}
		value, err := d.instruments.Append(nil, in)
		if err != nil {
			return fmt.Errorf("encoding instrument %q: %w", in.Instrument, err)
		}
		d.add(instrumentChange(in.Instrument, diff), value)
	}
	for i := range d.next.Calls {
		call := &d.next.Calls[i]
		if slices.Contains(diff.Calls.Unchanged, call.CallID) {
			continue
		}
		value, err := d.calls.Append(nil, call)
		if err != nil {
			return fmt.Errorf("encoding call %q: %w", call.CallID, err)
		}
		d.add(callChange(call, diff), value)
	}
	if d.keep {
		return nil
	}
	for _, id := range diff.Instruments.Removed {
		d.add(CatalogChange{Change: "removed", What: "instrument", ID: id}, nil)
	}
	for _, id := range diff.Calls.Removed {
		d.add(CatalogChange{Change: "removed", What: "call", ID: id}, nil)
	}
	return nil
}

func instrumentChange(id string, diff catalog.Difference) CatalogChange {
	ch := CatalogChange{Change: "changed", What: "instrument", ID: id}
	if slices.Contains(diff.Instruments.Added, id) {
		ch.Change = "added"
	}
	return ch
}

func callChange(call *schemas.CallDefined, diff catalog.Difference) CatalogChange {
	ch := CatalogChange{Change: "changed", What: "call", ID: call.CallID, Version: call.Version}
	if slices.Contains(diff.Calls.Added, call.CallID) {
		ch.Change = "added"
	}
	return ch
}

// add notes a change and the record that makes it; a nil value removes.
func (d *catalogDelta) add(ch CatalogChange, value []byte) {
	topic, kind := schemas.TopicCalls, "pricelake.v1.CallDefined"
	if ch.What == "instrument" {
		topic, kind = schemas.TopicInstruments, "pricelake.v1.InstrumentDefined"
	}
	event := stream.CloudEvent{
		ID:     fmt.Sprintf("%s/%s/%d", ch.ID, ch.Change, d.now.UnixMicro()),
		Source: "/pricelake/catalog",
		Type:   kind,
		Time:   d.now,
	}
	d.changes = append(d.changes, ch)
	d.records = append(d.records, stream.Record{
		Topic:     topic,
		Partition: stream.AnyPartition,
		Key:       []byte(ch.ID),
		Value:     value,
		Headers:   event.Headers(),
	})
}
