package lake

import (
	"reflect"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// codeSameQueryRuns is ClickHouse's QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING.
const codeSameQueryRuns = 216

func verify(t *testing.T, l *Lake, rs []stream.Record) Report {
	t.Helper()
	v, err := l.Verify(sinks.Partition{Topic: rs[0].Topic, TopicID: rs[0].TopicID, Number: rs[0].Partition}, rs[0].Offset)
	if err != nil {
		t.Fatal(err)
	}
	v.chunkSize, v.slice = 4, 3
	for i := range rs {
		if err := v.Record(t.Context(), &rs[i]); err != nil {
			t.Fatal(err)
		}
	}
	report, err := v.Report(t.Context(), rs[len(rs)-1].Offset+1)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// One missing record, one doubled and one nobody committed are named by offset,
// wherever the chunks of the comparison end. What is in the dead letters is not
// missing; what was loaded before the first retained record, or comes after the
// last, is no surprise.
func TestVerify(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	var committed []stream.Record
	for _, offset := range []int64{10, 11, 12, 14, 15, 16, 17, 20, 21, 22, 23, 24, 30, 31} {
		committed = append(committed, record(t, schemas.TopicPrices, offset, somePrice(t, int(offset))))
	}
	write := func(attempt int32, offsets ...int64) {
		t.Helper()
		for _, offset := range offsets {
			b := block(record(t, schemas.TopicPrices, offset, somePrice(t, int(offset))))
			b.Attempt = attempt
			err := s.Write(t.Context(), b)
			for hasCode(err, codeSameQueryRuns) { // its predecessor of the same name has answered and not quite ended
				err = s.Write(t.Context(), b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 3, 10, 11, 12, 14, 15, 17, 20, 22, 23, 24, 30, 31, 99)
	letter := schemas.DeadLetter{OriginTopic: schemas.TopicPrices, OriginTopicID: schemas.ID(topicID), OriginOffset: 21, Role: Role, OriginTimestamp: utc("2026-01-05 00:00:00"), FailedAt: utc("2026-01-05 00:00:00")}
	if err := s.Write(t.Context(), block(record(t, schemas.TopicDeadLetters, 1, letter))); err != nil {
		t.Fatal(err)
	}
	want := Report{Topic: schemas.TopicPrices, Table: "prices", First: 10, Next: 32, Records: 14, Rows: 12, DeadLetters: 1, MissingCount: 1, Missing: []OffsetRange{{16, 16}}}
	if got := verify(t, l, committed); !reflect.DeepEqual(got, want) || got.OK() {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
	write(0, 16)
	want.Rows, want.MissingCount, want.Missing = 13, 0, nil
	if got := verify(t, l, committed); !reflect.DeepEqual(got, want) || !got.OK() {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
	write(1, 12, 12, 20) // 12 once: the second is a repeat
	write(2, 20)
	write(0, 13, 18, 19, 25)
	want.DoubledCount, want.Doubled = 2, []OffsetRange{{12, 12}, {20, 20}}
	want.UnexpectedCount, want.Unexpected = 4, []OffsetRange{{13, 13}, {18, 19}, {25, 25}}
	if got := verify(t, l, committed); !reflect.DeepEqual(got, want) || got.OK() {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
	u, err := l.Unique(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u.Rows != 22 || u.Unique != 19 || len(u.Doubled) != 2 {
		t.Errorf("uniqueness %+v, want 22 rows, 19 of them unique, 2 named", u)
	}
}

// Of a compacted topic the latest record of each key must be the latest row.
func TestVerifyLatest(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	define := func(offset int64, key string) stream.Record {
		r := record(t, schemas.TopicInstruments, offset, schemas.InstrumentDefined{Instrument: key, DefinedAt: utc("2026-01-05 00:00:00")})
		r.Key = []byte(key)
		return r
	}
	removal := define(5, "A-USD")
	removal.Value = nil
	all := []stream.Record{define(1, "A-USD"), define(2, "B-USD"), define(4, "B-USD"), removal, define(7, "C-USD")}
	for _, r := range append(all[:4:4], define(9, "D-USD")) {
		if err := s.Write(t.Context(), block(r)); err != nil {
			t.Fatal(err)
		}
	}
	// Compaction took 1 and 2; 7 has not been loaded; 9 was never committed.
	got := verify(t, l, all[2:])
	want := Report{Topic: schemas.TopicInstruments, Table: "instruments_history", First: 4, Next: 8, Records: 3, Rows: 2, MissingCount: 1, Missing: []OffsetRange{{7, 7}}, UnexpectedCount: 1, Unexpected: []OffsetRange{{9, 9}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
	answers(t, l, "SELECT instrument FROM instruments ORDER BY 1", "B-USD\nD-USD")
}

// A row of another record than the log has at its offset is named: what a broker
// that lost the end of its log and went on brings about.
func TestVerifyAltered(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	var committed []stream.Record
	for offset := int64(100); offset < 110; offset++ {
		r := record(t, schemas.TopicPrices, offset, somePrice(t, int(offset)))
		if err := s.Write(t.Context(), block(r)); err != nil {
			t.Fatal(err)
		}
		if offset > 106 {
			r.Timestamp = r.Timestamp.Add(time.Hour)
		}
		committed = append(committed, r)
	}
	want := Report{Topic: schemas.TopicPrices, Table: "prices", First: 100, Next: 110, Records: 10, Rows: 7, AlteredCount: 3, Altered: []OffsetRange{{107, 109}}}
	if got := verify(t, l, committed); !reflect.DeepEqual(got, want) || got.OK() {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
	v, err := l.Verify(sinks.Partition{Topic: schemas.TopicPrices, TopicID: topicID}, 105)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Older(t.Context()); err != nil || v.report.Older != 5 {
		t.Errorf("%d rows are older than offset 105, %v; want 5", v.report.Older, err)
	}
}

// The server sums up the same hashes as we do; if it did not, every comparison
// would be made row by row.
func TestSums(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	var rs []stream.Record
	want := map[int64]sum{}
	for _, offset := range []int64{0, 1, 9, 10, 11, 1 << 40, 1<<62 + 1} {
		r := record(t, schemas.TopicPrices, offset, somePrice(t, 1))
		r.Timestamp = utc("2026-01-05 12:00:00").Add(time.Duration(offset%7) * time.Millisecond)
		rs = append(rs, r)
		had, more := want[offset/10], sumOf([]mark{{offset, r.Timestamp.UnixMicro()}})
		want[offset/10] = sum{had.rows + more.rows, had.hash + more.hash}
	}
	b := block(rs...)
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got, err := l.sums(t.Context(), "prices", b.Range, 10)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("sums %v, %v\nwant %v", got, err, want)
	}
}
