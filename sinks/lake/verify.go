package lake

import (
	"context"
	"fmt"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// verifyChunk is how many records are compared at a time, maxNamed how many
// ranges of offsets a report names.
const (
	verifyChunk = 1 << 18
	maxNamed    = 1000
)

// OffsetRange is offsets First to Last, both included.
type OffsetRange struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Report is the comparison of one partition with the table loaded from it.
type Report struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Table     string `json:"table"`
	// Records were committed in the partition (in a compacted topic: its
	// keys), Rows of them are in the table, DeadLetters of them the lake gave
	// up and kept in the dead letters.
	Records     int64 `json:"records"`
	Rows        int64 `json:"rows"`
	DeadLetters int64 `json:"dead_letters"`
	// Missing records have neither row nor dead letter, Doubled ones have more
	// rows than one, Unexpected rows have an offset that holds no committed
	// record. The counts are whole, the ranges the first 1000 each.
	MissingCount    int64         `json:"missing_count"`
	DoubledCount    int64         `json:"doubled_count"`
	UnexpectedCount int64         `json:"unexpected_count"`
	Missing         []OffsetRange `json:"missing,omitempty"`
	Doubled         []OffsetRange `json:"doubled,omitempty"`
	Unexpected      []OffsetRange `json:"unexpected,omitempty"`
}

// OK says that every record is in the table exactly once, and nothing else.
func (r *Report) OK() bool {
	return r.MissingCount == 0 && r.DoubledCount == 0 && r.UnexpectedCount == 0
}

// Verification compares the committed records of one partition with the rows
// loaded from it. Feed it every record in offset order, then ask for the report.
// Its memory is bounded by a chunk of offsets, for compacted topics by the keys.
// It is used by one goroutine.
type Verification struct {
	lake   *Lake
	of     sinks.Partition
	table  Table
	report Report
	chunk  []int64
	// chunkSize is verifyChunk but in tests.
	chunkSize int
	// next is the first offset that has not been compared.
	next   int64
	latest map[string]int64 // of a compacted topic
}

// Verify begins the comparison of a partition.
func (l *Lake) Verify(of sinks.Partition) (*Verification, error) {
	t, err := tableOf(of.Topic)
	if err != nil {
		return nil, err
	}
	v := &Verification{lake: l, of: of, table: t, next: -1, chunkSize: verifyChunk, report: Report{Topic: of.Topic, Partition: of.Number, Table: t.Name}}
	if t.Latest {
		v.latest = map[string]int64{}
	}
	return v, nil
}

// Record adds a committed record of the partition; the offsets ascend. Only its
// offset and key are read.
func (v *Verification) Record(ctx context.Context, r *stream.Record) error {
	if v.latest != nil {
		v.latest[string(r.Key)] = r.Offset
		return nil
	}
	v.chunk = append(v.chunk, r.Offset)
	if len(v.chunk) < v.chunkSize {
		return nil
	}
	return v.compare(ctx)
}

// Report ends the comparison. Rows of later offsets than the last record's are
// not looked at: they may have been committed since.
func (v *Verification) Report(ctx context.Context) (Report, error) {
	var err error
	if v.latest != nil {
		err = v.compareLatest(ctx)
	} else {
		err = v.compare(ctx)
	}
	return v.report, err
}

// compare compares the chunk with the rows of its range: a merge of two sorted
// lists.
func (v *Verification) compare(ctx context.Context) error {
	if len(v.chunk) == 0 {
		return nil
	}
	first, last := v.chunk[0], v.chunk[len(v.chunk)-1]
	if v.next >= 0 {
		first = v.next // the hole between two chunks must hold no rows either
	}
	r := sinks.Range{Partition: v.of, First: first, Last: last}
	dead, err := v.lake.buried(ctx, r)
	if err != nil {
		return err
	}
	m := merge{report: &v.report, want: v.chunk, dead: &dead, row: first - 1}
	if err := v.lake.lineage(ctx, v.table.Name, r, m.see); err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", r, v.table.Name, err)
	}
	m.finish()
	v.report.Records += int64(len(v.chunk))
	v.chunk, v.next = v.chunk[:0], last+1
	return nil
}

// merge walks over the records wanted and the rows seen, both in offset order.
type merge struct {
	report *Report
	want   []int64
	dead   *sinks.Offsets
	row    int64 // the last row's offset
	twice  int64 // the last offset reported as doubled
}

// see takes the offset of the next row.
func (m *merge) see(offset int64) {
	if offset == m.row {
		if m.report.DoubledCount == 0 || m.twice != offset {
			m.twice = offset
			m.report.DoubledCount++
			m.report.Doubled = name(m.report.Doubled, offset)
		}
		return
	}
	m.row = offset
	for len(m.want) > 0 && m.want[0] < offset {
		m.miss(m.want[0])
		m.want = m.want[1:]
	}
	if len(m.want) > 0 && m.want[0] == offset {
		m.report.Rows++
		m.want = m.want[1:]
		return
	}
	m.report.UnexpectedCount++
	m.report.Unexpected = name(m.report.Unexpected, offset)
}

func (m *merge) finish() {
	for _, offset := range m.want {
		m.miss(offset)
	}
}

func (m *merge) miss(offset int64) {
	if m.dead.Has(offset) {
		m.report.DeadLetters++
		return
	}
	m.report.MissingCount++
	m.report.Missing = name(m.report.Missing, offset)
}

// name adds an ascending offset to ranges, up to the bound of a report.
func name(rs []OffsetRange, offset int64) []OffsetRange {
	if n := len(rs); n > 0 && rs[n-1].Last+1 == offset {
		rs[n-1].Last = offset
		return rs
	}
	if len(rs) < maxNamed {
		rs = append(rs, OffsetRange{offset, offset})
	}
	return rs
}

// buried returns the offsets of a range that the lake has given up and whose
// dead letters it has loaded.
func (l *Lake) buried(ctx context.Context, r sinks.Range) (sinks.Offsets, error) {
	var dead sinks.Offsets
	rows, err := l.conn.Query(ctx, `
		SELECT DISTINCT origin_offset FROM dead_letters
		WHERE origin_topic = ? AND origin_topic_id = ? AND origin_partition = ?
			AND origin_offset BETWEEN ? AND ? AND role = ?
		ORDER BY origin_offset`, r.Topic, schemas.ID(r.TopicID).String(), r.Number, r.First, r.Last, Role)
	if err != nil {
		return dead, fmt.Errorf("reading the dead letters of %v: %w", r, err)
	}
	defer rows.Close()
	for rows.Next() {
		var offset int64
		if err := rows.Scan(&offset); err != nil {
			return dead, fmt.Errorf("reading the dead letters of %v: %w", r, err)
		}
		dead.Add(offset, offset)
	}
	return dead, rows.Err()
}

// compareLatest compares the latest record of each key with the latest row of
// it. Older records and rows are anyone's: compaction takes the ones, the lake
// keeps the others.
func (v *Verification) compareLatest(ctx context.Context) error {
	rows, err := v.lake.conn.Query(ctx, fmt.Sprintf(`
		SELECT %s, max(_offset), count() > uniqExact(_offset) FROM %s
		WHERE _topic_id = ? AND _partition = ? GROUP BY 1`, v.table.key, v.table.Name),
		schemas.ID(v.of.TopicID).String(), v.of.Number)
	if err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
	}
	defer rows.Close()
	var missing, doubled, unexpected sinks.Offsets
	for _, offset := range v.latest {
		missing.Add(offset, offset)
	}
	v.report.Records = int64(len(v.latest))
	for rows.Next() {
		var key string
		var offset int64
		var twice bool
		if err := rows.Scan(&key, &offset, &twice); err != nil {
			return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
		}
		want, ok := v.latest[key]
		switch {
		case ok && offset == want:
			v.report.Rows++
			missing.Remove(want)
		case !ok || offset > want:
			unexpected.Add(offset, offset)
		}
		if twice {
			doubled.Add(offset, offset)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", v.of, v.table.Name, err)
	}
	v.report.MissingCount, v.report.Missing = missing.Count(), named(&missing)
	v.report.DoubledCount, v.report.Doubled = doubled.Count(), named(&doubled)
	v.report.UnexpectedCount, v.report.Unexpected = unexpected.Count(), named(&unexpected)
	return nil
}

func named(o *sinks.Offsets) []OffsetRange {
	var rs []OffsetRange
	for first, last := range o.Runs() {
		if len(rs) == maxNamed {
			break
		}
		rs = append(rs, OffsetRange{first, last})
	}
	return rs
}
