package lake

import (
	"context"
	"fmt"
	"math"

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
	// First is the first offset that was compared; Next the one after the last.
	First int64 `json:"first"`
	Next  int64 `json:"next"`
	// Records were committed in the partition (in a compacted topic: its
	// keys), Rows of them are in the table, DeadLetters of them the lake gave
	// up and kept in the dead letters.
	Records     int64 `json:"records"`
	Rows        int64 `json:"rows"`
	DeadLetters int64 `json:"dead_letters"`
	// Older rows are of records that the log no longer holds: nothing is left
	// to compare them with.
	Older int64 `json:"older"`
	// Missing records have neither row nor dead letter, Doubled ones have more
	// rows than one, Unexpected rows have an offset that holds no committed
	// record, Altered ones are of another record than the log has at their
	// offset. The counts are whole, the ranges the first 1000 each.
	MissingCount    int64         `json:"missing_count"`
	DoubledCount    int64         `json:"doubled_count"`
	UnexpectedCount int64         `json:"unexpected_count"`
	AlteredCount    int64         `json:"altered_count"`
	Missing         []OffsetRange `json:"missing,omitempty"`
	Doubled         []OffsetRange `json:"doubled,omitempty"`
	Unexpected      []OffsetRange `json:"unexpected,omitempty"`
	Altered         []OffsetRange `json:"altered,omitempty"`
}

// OK says that every record is in the table exactly once, and nothing else.
func (r *Report) OK() bool {
	return r.MissingCount == 0 && r.DoubledCount == 0 && r.UnexpectedCount == 0 && r.AlteredCount == 0
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
	chunk  []mark
	// chunkSize and slice are verifyChunk and verifySlice but in tests.
	chunkSize int
	slice     int64
	latest    map[string]int64 // of a compacted topic
}

// mark is what a record and its row must have in common: the offset, and the
// time the broker gave it. Two records that were at one offset, before and after
// a broker lost the end of its log, differ in that.
type mark struct {
	offset int64
	micros int64
}

func (m mark) hash() uint64 { return markHash(m.offset, m.micros) }

// Verify begins the comparison of a partition from offset first on, which is to
// be the first retained one or a later one.
func (l *Lake) Verify(of sinks.Partition, first int64) (*Verification, error) {
	t, err := tableOf(of.Topic)
	if err != nil {
		return nil, err
	}
	v := &Verification{lake: l, of: of, table: t, chunkSize: verifyChunk, slice: verifySlice,
		report: Report{Topic: of.Topic, Partition: of.Number, Table: t.Name, First: first, Next: first}}
	if t.Latest {
		v.latest = map[string]int64{}
	}
	return v, nil
}

// Record adds a committed record of the partition; the offsets ascend. Only its
// offset, key and time are read.
func (v *Verification) Record(ctx context.Context, r *stream.Record) error {
	if v.latest != nil {
		v.latest[string(r.Key)] = r.Offset
		v.report.Next = max(v.report.Next, r.Offset+1)
		return nil
	}
	v.chunk = append(v.chunk, mark{r.Offset, r.Timestamp.UnixMicro()})
	if len(v.chunk) < v.chunkSize {
		return nil
	}
	return v.compare(ctx, r.Offset)
}

// Report ends the comparison at offset next: rows from it on are not looked at,
// they may have been committed since. Every offset below it that brought no
// record must have no row.
func (v *Verification) Report(ctx context.Context, next int64) (Report, error) {
	if v.latest != nil {
		err := v.compareLatest(ctx)
		return v.report, err
	}
	err := v.compare(ctx, next-1)
	return v.report, err
}

// Older counts the rows of the partition below the first offset compared.
func (v *Verification) Older(ctx context.Context) error {
	if v.latest != nil {
		return nil
	}
	sums, err := v.lake.sums(ctx, v.table.Name, sinks.Range{Partition: v.of, First: 0, Last: v.report.First - 1}, math.MaxInt64)
	for _, s := range sums {
		v.report.Older += int64(s.rows)
	}
	return err
}

// compare compares the chunk with the rows up to offset last. The server sums
// up each slice; where its sum is that of the records nothing else is asked.
func (v *Verification) compare(ctx context.Context, last int64) error {
	r := sinks.Range{Partition: v.of, First: v.report.Next, Last: last}
	if r.Last < r.First {
		return nil
	}
	there, err := v.lake.sums(ctx, v.table.Name, r, v.slice)
	if err != nil {
		return err
	}
	rest := v.chunk
	for first := r.First; first <= r.Last; {
		number := first / v.slice
		end := min(r.Last, (number+1)*v.slice-1)
		n := upTo(rest, end)
		want := sumOf(rest[:n])
		if there[number] == want {
			v.report.Rows += int64(n)
		} else if err := v.list(ctx, sinks.Range{Partition: v.of, First: first, Last: end}, rest[:n]); err != nil {
			return err
		}
		v.report.Records += int64(n)
		rest, first = rest[n:], end+1
		if len(rest) == 0 && len(there) == 0 {
			break // nothing here and nothing there up to the end
		}
	}
	v.chunk, v.report.Next = v.chunk[:0], last+1
	return nil
}

// upTo returns how many of the marks have offsets up to last.
func upTo(ms []mark, last int64) int {
	n := 0
	for n < len(ms) && ms[n].offset <= last {
		n++
	}
	return n
}

// list compares the records of a range with its rows one by one: a merge of two
// sorted lists.
func (v *Verification) list(ctx context.Context, r sinks.Range, want []mark) error {
	dead, err := v.lake.buried(ctx, r)
	if err != nil {
		return err
	}
	m := merge{report: &v.report, want: want, dead: &dead, row: r.First - 1, twice: r.First - 1}
	if err := v.lake.marks(ctx, v.table.Name, r, m.see); err != nil {
		return fmt.Errorf("reading what of %v is in %s: %w", r, v.table.Name, err)
	}
	m.finish()
	return nil
}

// merge walks over the records wanted and the rows seen, both in offset order.
type merge struct {
	report *Report
	want   []mark
	dead   *sinks.Offsets
	row    int64 // the last row's offset
	twice  int64 // the last offset reported as doubled
}

// see takes the next row.
func (m *merge) see(row mark) {
	if row.offset == m.row {
		if m.twice != row.offset {
			m.twice = row.offset
			m.report.DoubledCount++
			m.report.Doubled = name(m.report.Doubled, row.offset)
		}
		return
	}
	m.row = row.offset
	for len(m.want) > 0 && m.want[0].offset < row.offset {
		m.miss(m.want[0].offset)
		m.want = m.want[1:]
	}
	switch {
	case len(m.want) == 0 || m.want[0].offset != row.offset:
		m.report.UnexpectedCount++
		m.report.Unexpected = name(m.report.Unexpected, row.offset)
		return
	case m.want[0].micros != row.micros:
		m.report.AlteredCount++
		m.report.Altered = name(m.report.Altered, row.offset)
	default:
		m.report.Rows++
	}
	m.want = m.want[1:]
}

func (m *merge) finish() {
	for _, w := range m.want {
		m.miss(w.offset)
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
