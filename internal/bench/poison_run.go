package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// forbidden is a rule that somebody has made for their server, and that no reader
// of prices knows.
const forbidden = "ALTER TABLE prices ADD CONSTRAINT bench CHECK ifNull(price, 1) > 0"

// noMerges leaves the parts of prices as they are. ClickHouse merges twenty at a time,
// which takes a third as long as the twenty INSERTs and is the same for every row in
// the long run: whether the last merge falls into a run or begins after it would
// decide what is measured. At a rate they go on: a low one would have a part a second.
const noMerges = "SYSTEM STOP MERGES prices"

// lake measures the role lake. Its good records are worked off when their rows can
// be read.
func (p *poisonRun) lake(ctx context.Context) (run Poisoned, err error) {
	sql := newSQLClient(p.servers.ClickHouse.HTTPURL(), p.servers.ClickHouse.Operator())
	defer sql.close()
	if p.name == "refused" || p.name == every {
		if _, err := sql.query(ctx, forbidden); err != nil {
			return run, err
		}
	}
	if p.Rate == 0 {
		if _, err := sql.query(ctx, noMerges); err != nil {
			return run, err
		}
	}
	start := time.Now()
	run, err = p.work(ctx, task{
		fill: func(ctx context.Context) error { return p.prices(ctx, schemas.TopicPrices) },
		seen: func(ctx context.Context) (int64, error) { return sql.number(ctx, "SELECT count() FROM prices") },
		all:  func() int64 { return p.Rows },
		look: 100 * time.Millisecond,
		done: func(ctx context.Context, role *Process) error {
			_, err := sql.awaitRows(ctx, "prices", p.Rows, start, role.alive)
			return err
		},
		told: func(ctx context.Context, role *Process) error {
			_, err := sql.awaitRows(ctx, "dead_letters", p.made, start, role.alive)
			return err
		},
	})
	if err != nil {
		return run, err
	}
	if run.Inserts, err = sql.inserts(ctx); err != nil {
		return run, err
	}
	unique, err := sql.number(ctx, "SELECT uniqExact(_partition, _offset) FROM prices")
	if err == nil && unique != p.Rows {
		err = fmt.Errorf("%d rows are %d records: some are there twice", p.Rows, unique)
	}
	return run, err
}

// inserts returns how many INSERTs into prices were made, and refused.
func (c *sqlClient) inserts(ctx context.Context) (int64, error) {
	if _, err := c.query(ctx, "SYSTEM FLUSH LOGS"); err != nil {
		return 0, err
	}
	return c.number(ctx, "SELECT count() FROM system.query_log WHERE query_kind = 'Insert' AND type != 'QueryStart' AND has(tables, currentDatabase() || '.prices')")
}

// deduplicator measures the role deduplicator with prices that are all new.
func (p *poisonRun) deduplicator(ctx context.Context) (Poisoned, error) {
	return p.processor(ctx, schemas.TopicObserved, func(ctx context.Context) error { return p.prices(ctx, schemas.TopicObserved) })
}

// normalizer measures the role normalizer with answers of one price. They say that
// they are of months ago, so their calls have to be there before the role is.
func (p *poisonRun) normalizer(ctx context.Context) (run Poisoned, err error) {
	out, err := p.servers.newPublisher(ctx)
	if err != nil {
		return run, err
	}
	defer out.producer.Close()
	a := kindsOfAnswers()[0]
	if err := out.define(ctx, a); err != nil {
		return run, err
	}
	return p.processor(ctx, schemas.TopicResponses, func(ctx context.Context) error { return p.answers(ctx, out, a) })
}

// processor measures a role until its group has committed everything.
func (p *poisonRun) processor(ctx context.Context, topic string, fill func(context.Context) error) (Poisoned, error) {
	group := "pricelake." + p.role
	return p.work(ctx, task{
		fill: fill,
		seen: func(ctx context.Context) (n int64, err error) {
			positions, err := p.admin.Positions(ctx, group, topic)
			for _, at := range positions {
				n += max(0, at.Committed)
			}
			return n, err
		},
		all:  func() int64 { return p.Rows + p.bad },
		look: 20 * time.Millisecond,
		done: func(ctx context.Context, role *Process) error { return settled(ctx, p.admin, group, topic, role) },
		told: func(context.Context, *Process) error { return nil },
	})
}

// letters counts the dead letters by reason. One of two with the same id is an
// error: the role was not killed.
func (s *Servers) letters(ctx context.Context) (map[string]int64, error) {
	codec, err := codecOf[schemas.DeadLetter](ctx, s, schemas.TopicDeadLetters)
	if err != nil {
		return nil, err
	}
	reasons, seen := map[string]int64{}, map[schemas.ID]bool{}
	err = s.each(ctx, schemas.TopicDeadLetters, func(r stream.Record) error {
		var d schemas.DeadLetter
		if err := codec.Decode(ctx, r.Value, &d); err != nil {
			return err
		}
		if seen[d.DeadLetterID] {
			return fmt.Errorf("the dead letter %s is there twice", d.DeadLetterID)
		}
		seen[d.DeadLetterID] = true
		reasons[d.Reason.String()]++
		return nil
	})
	return reasons, err
}

// rejected counts the rejected prices by reason.
func (s *Servers) rejected(ctx context.Context) (map[string]int64, error) {
	codec, err := codecOf[schemas.PriceRejected](ctx, s, schemas.TopicRejected)
	if err != nil {
		return nil, err
	}
	reasons := map[string]int64{}
	err = s.each(ctx, schemas.TopicRejected, func(r stream.Record) error {
		var p schemas.PriceRejected
		if err := codec.Decode(ctx, r.Value, &p); err != nil {
			return err
		}
		reasons[p.Reason.String()]++
		return nil
	})
	return reasons, err
}

// codecOf is the codec of a topic, ready.
func codecOf[T any](ctx context.Context, s *Servers, topic string) (*avro.Codec[T], error) {
	client, err := avro.NewClient(s.Registry)
	if err != nil {
		return nil, err
	}
	codec, err := avro.NewCodec[T](topic, client)
	if err != nil {
		return nil, err
	}
	return codec, codec.Prepare(ctx)
}
