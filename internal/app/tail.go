package app

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
)

// TailOptions say what of a topic to follow.
type TailOptions struct {
	FromStart bool
	Count     int // end after so many records; 0 = never
}

// TailRecord is one record with its value decoded to JSON.
type TailRecord struct {
	stream.Record
	KeyText string
	JSON    json.RawMessage
}

// errEnough ends a tail after its count.
var errEnough = errors.New("enough records")

// Tail calls each with the committed records of a topic as they come, until ctx
// ends, each fails, or the count is reached. A value that cannot be decoded is
// shown as an object with the error and the bytes.
func (a *App) Tail(ctx context.Context, topic string, opts TailOptions, each func(TailRecord) error) error {
	if err := topicExists(topic); err != nil {
		return err
	}
	seen := 0
	err := kafka.Tail(ctx, a.kafkaConfig("tail"), topic, opts.FromStart, func(r stream.Record) error {
		rec := TailRecord{Record: r, KeyText: string(r.Key), JSON: a.decodeJSON(ctx, r.Value)}
		if err := each(rec); err != nil {
			return err
		}
		if seen++; opts.Count > 0 && seen >= opts.Count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// decodeJSON renders a value written with any schema.
func (a *App) decodeJSON(ctx context.Context, value []byte) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	out, err := a.registry.DecodeJSON(ctx, value)
	if err == nil {
		return out
	}
	fallback, merr := json.Marshal(map[string]any{"undecodable": err.Error(), "bytes": value})
	if merr != nil {
		return json.RawMessage("null")
	}
	return fallback
}
