package processors

import (
	"context"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Stage runs a Processor between an input topic and its outlets. Its Open is a
// stream.OpenStage; every field is needed but MaxRecordBytes. It may be used in
// parallel.
type Stage[In, Out any] struct {
	Decoder   Decoder[In]
	Processor Processor[In, Out]
	Outlet    Outlet[Out]
	Dead      *DeadLetters
	Metrics   *Metrics
	// MaxRecordBytes is the largest record, key and value, that a topic takes. An
	// input of which a larger one is made becomes a dead letter: the broker would
	// refuse it for ever. Nil: there is no limit.
	MaxRecordBytes func(topic string) int
	// Now is the clock of the duration metric and of nothing else.
	Now func() time.Time
}

// Open makes the stage of one partition.
func (s *Stage[In, Out]) Open(context.Context, stream.TopicPartition) (stream.Stage, error) {
	return &partition[In, Out]{stage: s}, nil
}

// partition is a Stage at work on one partition.
type partition[In, Out any] struct {
	stage *Stage[In, Out]
	in    In // of the record at hand; kept here so that it is allocated once
}

// batch is what has been made so far of the records of one batch.
type batch struct {
	buffer  Buffer
	records []stream.Record
	tally   Tally
}

// Handle makes the outputs of a batch. Records that can never be used become
// dead letters; any other trouble is an error and the whole batch comes again.
func (p *partition[In, Out]) Handle(ctx context.Context, b stream.Batch) (stream.Output, error) {
	start := p.stage.Now()
	made := &batch{records: make([]stream.Record, 0, len(b.Records))}
	for i := range b.Records {
		r := &b.Records[i]
		if err := p.handle(ctx, r, made); err != nil {
			return stream.Output{}, fmt.Errorf("processing %s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
	}
	p.stage.Metrics.Handled(p.stage.Now().Sub(start))
	return stream.Output{
		Records: made.records,
		Committed: func(context.Context, []stream.Record) error {
			p.stage.Metrics.Add(&made.tally)
			return nil
		},
	}, nil
}

// Close does nothing: a partition holds nothing between batches.
func (p *partition[In, Out]) Close() error { return nil }

func (p *partition[In, Out]) handle(ctx context.Context, r *stream.Record, made *batch) error {
	mark := len(made.records)
	err := p.process(ctx, r, made)
	if reason, final := Rejected(err); final {
		// All or nothing of a record: what it made before it failed goes too.
		made.records = made.records[:mark]
		letter, err := p.stage.Dead.Record(&made.buffer, r, reason, err)
		if err != nil {
			return err
		}
		made.records = append(made.records, letter)
		made.tally.Dead = append(made.tally.Dead, reason)
		return nil
	}
	if err != nil {
		return err
	}
	if len(made.records) == mark {
		made.tally.Filtered++
		return nil
	}
	made.tally.Published++
	made.tally.Outputs += len(made.records) - mark
	return nil
}

func (p *partition[In, Out]) process(ctx context.Context, r *stream.Record, made *batch) error {
	var zero In
	p.in = zero
	if err := p.stage.Decoder.Decode(ctx, r.Value, &p.in); err != nil {
		return fmt.Errorf("decoding: %w", err)
	}
	outs, err := p.stage.Processor.Process(ctx, p.in)
	if err != nil {
		return err
	}
	for i := range outs {
		out, err := p.stage.Outlet.Record(&made.buffer, r, &outs[i])
		if err != nil {
			return Reject(schemas.DeadInvalid, err)
		}
		if err := p.stage.fits(&out); err != nil {
			return Reject(schemas.DeadTooLarge, err)
		}
		made.records = append(made.records, out)
	}
	return nil
}

// fits says why a topic does not take an output.
func (s *Stage[In, Out]) fits(out *stream.Record) error {
	if s.MaxRecordBytes == nil {
		return nil
	}
	if size, most := len(out.Key)+len(out.Value), s.MaxRecordBytes(out.Topic); size > most {
		return fmt.Errorf("a record of %q has %d bytes where %d are allowed", out.Topic, size, most)
	}
	return nil
}
