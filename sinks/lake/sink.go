package lake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// defaultRetentionDays is how long the body of an answer is kept where its call
// does not say.
const defaultRetentionDays = 90

// fenceSlack is how long an INSERT that has its data may take to notice that it
// was killed.
const fenceSlack = 10 * time.Second

// Options are the dependencies of a Sink. All are needed but Retention.
type Options struct {
	Decoders Decoders
	// Cluster names the Kafka cluster: two of them must not use one name for
	// their blocks.
	Cluster   string
	Retention Retention
	// Shadow, when set, is the table that takes the place of every topic's: a
	// rebuild fills it. It has their columns.
	Shadow string
	Now    func() time.Time
	// Failpoints may be nil.
	Failpoints *failpoint.Set
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Sink writes blocks of records into the tables of the lake. It is the
// sinks.Store of every topic of Tables, and may be used in parallel.
type Sink struct {
	lake    *Lake
	loaders map[string]loader
	cluster string
	shadow  string
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	// failpoints are hit around each INSERT.
	failpoints *failpoint.Set
	large      chan struct{} // one element for each large block being made or sent
	asking     chan struct{} // one element for each pack that asks
	askEvery   int
	rules      rules
}

const (
	// largeRows is from when on a block is large.
	largeRows = 5_000
	// largeBlocks is how many of them are made or sent at a time, and asked about.
	largeBlocks = 2
)

// NewSink returns a sink of the lake and registers its metrics.
func NewSink(l *Lake, o Options) *Sink {
	retention := o.Retention
	if retention == nil {
		retention = func(string, string) int32 { return 0 }
	}
	s := &Sink{
		lake:    l,
		cluster: o.Cluster,
		shadow:  o.Shadow,
		now:     o.Now,
		log:     o.Log,
		metrics: newMetrics(o.Registerer),

		failpoints: o.Failpoints,
		large:      make(chan struct{}, largeBlocks),
		asking:     make(chan struct{}, largeBlocks),
		askEvery:   askEvery,
	}
	s.loaders = o.Decoders.loaders(retention, s.metrics.passedOver)
	return s
}

// Write implements sinks.Writer. A block becomes one INSERT for each partition
// of its table; each is all or nothing, together they need not be, which is why
// a failure is followed by Present and never by a blind repetition.
func (s *Sink) Write(ctx context.Context, b sinks.Block) error {
	if len(b.Records) == 0 {
		return nil
	}
	loader := s.loaders[b.Topic]
	if loader == nil {
		return fmt.Errorf("no table is loaded from topic %q", b.Topic)
	}
	done, err := s.turn(ctx, len(b.Records))
	if err != nil {
		return err
	}
	defer done()
	parts, err := loader.load(ctx, b, origin{topicID: b.TopicID, partition: b.Number, epoch: b.Epoch, insertedAt: s.now()})
	named, ok := sinks.Refused(err)
	if err != nil && !ok {
		return err
	}
	var bad []sinks.Refusal
	if named != nil {
		bad = named.Records
	}
	return s.send(ctx, b, parts, bad)
}

// turn waits until a block of so many rows may be made and sent. While a large one
// is sent the next is made: more would take memory and bring nothing. done is
// called when it is there.
func (s *Sink) turn(ctx context.Context, rows int) (done func(), err error) {
	if rows < largeRows {
		return func() {}, nil
	}
	select {
	case s.large <- struct{}{}:
		return func() { <-s.large }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send inserts the rows of a block but those of the bad records, and those that
// break a rule of the table.
func (s *Sink) send(ctx context.Context, b sinks.Block, parts []part, bad []sinks.Refusal) error {
	repeated := false
	var refused error
	for i := range parts {
		parts[i].table = s.into(parts[i].table)
		if i > 0 {
			if err := s.failpoints.Hit(failpoint.LakeInsertBlock); err != nil {
				return err
			}
		}
		repeat, broken, err := s.insertGood(ctx, b, &parts[i])
		bad = merged(bad, broken)
		if _, final := sinks.Refused(err); final {
			// The others are written all the same, under the name of the whole
			// block: who searches for the bad row has less to search.
			refused = err
			continue
		}
		if err != nil {
			return err
		}
		repeated = repeated || repeat
	}
	named := sinks.RefuseRecords(bad)
	switch {
	case refused != nil && named != nil:
		return named // first, so that what is searched for has no other cause
	case refused != nil:
		return refused
	case repeated:
		if err := s.confirm(ctx, b, bad); err != nil {
			return err
		}
	}
	if all, ok := sinks.Refused(named); ok {
		all.Written = true
	}
	return named
}

func (s *Sink) insert(ctx context.Context, b sinks.Block, p *part) (repeat bool, err error) {
	start := s.now()
	repeat, err = s.lake.insert(ctx, p, s.name(b, p.month), s.failpoints)
	if err != nil {
		s.metrics.failed.WithLabelValues(p.table).Inc()
		return false, classify(fmt.Errorf("inserting %d rows of %v into %s: %w", p.rows, b.Range, p.table, err), b, p)
	}
	now := s.now()
	s.metrics.inserted(p, now, now.Sub(start), repeat)
	p.free()
	return repeat, nil
}

// confirm asks by lineage for the records of a block that the server took for a
// repeat, but for the bad ones. A server that was killed may know the name of a block
// whose rows it lost.
func (s *Sink) confirm(ctx context.Context, b sinks.Block, bad []sinks.Refusal) error {
	present, err := s.Present(ctx, b.Range)
	if err != nil && !errors.As(err, new(*sinks.DoubledError)) {
		return err
	}
	for i := range b.Len() {
		if len(bad) > 0 && bad[0].Index == i {
			bad = bad[1:]
			continue
		}
		if offset := b.Offset(i); !present.Has(offset) {
			return sinks.Burned(fmt.Errorf("the server took %v, attempt %d, for a repeat, but offset %d is not there", b.Range, b.Attempt, offset))
		}
	}
	return nil
}

// into is the table that rows of a table go into.
func (s *Sink) into(table string) string {
	if s.shadow != "" {
		return s.shadow
	}
	return table
}

// prefix begins the name of every INSERT of a partition into this lake. Fence
// ends INSERTs by it, so it must not begin the name of any other's.
func (s *Sink) prefix(p sinks.Partition) string {
	who := Role
	if s.shadow != "" {
		who = s.shadow
	}
	return fmt.Sprintf("%s:%s:%s:%v:%d:", who, s.lake.config.Database, s.cluster, schemas.ID(p.TopicID), p.Number)
}

// name is the id of the query that inserts the rows of one month of a block, and
// its deduplication token.
func (s *Sink) name(b sinks.Block, month int) string {
	return fmt.Sprintf("%s%d-%d:%d:%d:%d", s.prefix(b.Partition), b.First, b.Last, b.Epoch, b.Attempt, month)
}

// Fence implements sinks.Fencer. It ends INSERTs of this user only: others need
// more rights, and nobody else writes under these names. One that waits for data
// of a process that hangs takes Config.StallTimeout to end.
func (s *Sink) Fence(ctx context.Context, p sinks.Partition) error {
	ctx, cancel := context.WithTimeout(ctx, 2*(s.lake.config.StallTimeout+time.Second)+fenceSlack)
	defer cancel()
	// KILL takes no parameters. Of the prefix only the cluster's name is
	// anyone's to choose; its quotes are escaped.
	query := fmt.Sprintf("KILL QUERY WHERE startsWith(query_id, %s) AND user = currentUser() SYNC", literal(s.prefix(p)))
	if err := s.lake.conn.Exec(ctx, query); err != nil {
		return fmt.Errorf("ending the running inserts of %v: %w", p, err)
	}
	return nil
}

// Present implements sinks.Auditor. It reads the projection ordered by lineage
// and nothing else.
func (s *Sink) Present(ctx context.Context, r sinks.Range) (sinks.Offsets, error) {
	var present sinks.Offsets
	t, err := tableOf(r.Topic)
	if err != nil {
		return present, err
	}
	doubled := &sinks.DoubledError{Range: r}
	before := int64(-1)
	err = s.lake.lineage(ctx, s.into(t.Name), r, func(offset int64) {
		if offset == before {
			doubled.Offsets.Add(offset, offset)
		}
		present.Add(offset, offset)
		before = offset
	})
	if err != nil {
		return present, fmt.Errorf("reading what of %v is in %s: %w", r, t.Name, err)
	}
	if !doubled.Offsets.Empty() {
		return present, doubled
	}
	return present, nil
}

// lineage calls each with the offset of every row of the range, in order. An
// offset that has two rows comes twice.
func (l *Lake) lineage(ctx context.Context, table string, r sinks.Range, each func(offset int64)) error {
	rows, err := l.conn.Query(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"optimize_use_projections": 1,
		// On a replicated lake the answer must know every acknowledged write.
		"select_sequential_consistency": 1,
	})), fmt.Sprintf(`
		SELECT _offset FROM %s
		WHERE _topic_id = ? AND _partition = ? AND _offset BETWEEN ? AND ?
		ORDER BY _offset`, table),
		schemas.ID(r.TopicID).String(), r.Number, r.First, r.Last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var offset int64
		if err := rows.Scan(&offset); err != nil {
			return err
		}
		each(offset)
	}
	return rows.Err()
}
