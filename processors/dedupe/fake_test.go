package dedupe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/processors"
	"github.com/pricelake/pricelake/schemas"
)

// childVariable is set in a process that runs one test by itself and may leak.
const childVariable = "PRICELAKE_DEDUPE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// jsonCodec stands for the Avro codecs; bytes that are no JSON can never be
// read.
type jsonCodec[T any] struct{}

func (jsonCodec[T]) Decode(_ context.Context, wire []byte, v *T) error {
	return processors.Reject(schemas.DeadDecode, json.Unmarshal(wire, v))
}

func (jsonCodec[T]) Append(dst []byte, v *T) ([]byte, error) {
	p, err := json.Marshal(v)
	return append(dst, p...), err
}

// fakeLog is the output topic: an append-only log a partition, with offsets
// taken by transaction markers, records of aborted transactions and a first
// retained offset that moves.
type fakeLog struct {
	mu         sync.Mutex
	id         stream.TopicID
	partitions []fakePartition
	broken     error
	// reading, if set, is called before records are handed out.
	reading func()
}

type fakePartition struct {
	first   int64
	end     int64
	records []stream.Record // committed ones
}

func newFakeLog(partitions int) *fakeLog {
	return &fakeLog{id: stream.TopicID{0xab, 15: 1}, partitions: make([]fakePartition, partitions)}
}

// transact appends the records of one transaction and its marker, and returns
// the records as published.
func (l *fakeLog) transact(p int32, rs []stream.Record, commit bool) []stream.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	rs = slices.Clone(rs)
	fp, mine := &l.partitions[p], 0
	for i := range rs {
		if rs[i].Topic != schemas.TopicPrices {
			continue
		}
		mine++
		rs[i].Offset = fp.end
		rs[i].TopicID = l.id
		fp.end++
		if commit {
			fp.records = append(fp.records, rs[i])
		}
	}
	if mine > 0 {
		fp.end++
	}
	return rs
}

// retain moves the first retained offset.
func (l *fakeLog) retain(p int32, first int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fp := &l.partitions[p]
	fp.first = max(fp.first, first)
	fp.records = slices.DeleteFunc(fp.records, func(r stream.Record) bool { return r.Offset < fp.first })
}

// lose takes away the end of the log, as a broker's disk without its last
// writes does.
func (l *fakeLog) lose(p int32, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fp := &l.partitions[p]
	fp.end = end
	fp.records = slices.DeleteFunc(fp.records, func(r stream.Record) bool { return r.Offset >= end })
}

func (l *fakeLog) committed(p int32) []stream.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.partitions[p].records)
}

func (l *fakeLog) ReadCommitted(ctx context.Context, tp stream.TopicPartition, from int64, each func(stream.Record) error) (int64, error) {
	if l.reading != nil {
		l.reading()
	}
	l.mu.Lock()
	rs, end, err := slices.Clone(l.partitions[tp.Partition].records), l.partitions[tp.Partition].end, l.broken
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	for _, r := range rs {
		if r.Offset >= from {
			if err := each(r); err != nil {
				return 0, err
			}
		}
	}
	return end, ctx.Err()
}

func (l *fakeLog) Bounds(_ context.Context, tp stream.TopicPartition) (first, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fp := &l.partitions[tp.Partition]
	return fp.first, fp.end, l.broken
}

func (l *fakeLog) Describe(context.Context, string) (stream.TopicID, int32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id, int32(len(l.partitions)), l.broken
}

// rig is a Deduplicator over a fake log.
type rig struct {
	t       testing.TB
	log     *fakeLog
	lake    Lake
	fs      vfs.FS
	dir     string
	logged  io.Writer
	decoder processors.Decoder[schemas.Price]
	cache   int64
	reg     *prometheus.Registry
	d       *Deduplicator
}

func newRig(t testing.TB, partitions int) *rig {
	return &rig{
		t: t, log: newFakeLog(partitions), fs: vfs.NewCrashableMem(), dir: "/state",
		logged: io.Discard, decoder: jsonCodec[schemas.Price]{}, cache: 8 << 20,
	}
}

// start makes a new Deduplicator, as a new process does.
func (r *rig) start() {
	r.t.Helper()
	r.stop()
	r.reg = prometheus.NewRegistry()
	r.d = New(Config{
		Dir:         r.dir,
		Log:         r.log,
		Lake:        r.lake,
		Decoder:     r.decoder,
		Encoder:     jsonCodec[schemas.Price]{},
		DeadLetters: jsonCodec[schemas.DeadLetter]{},
		Logger:      slog.New(slog.NewTextHandler(r.logged, nil)),
		Registerer:  r.reg,
		Now:         func() time.Time { return time.Time{} },
		CacheBytes:  r.cache,
	})
	r.d.fs = r.fs
}

func (r *rig) stop() {
	if r.d != nil {
		r.d.Close()
		r.d = nil
	}
}

func (r *rig) open(p int32) stream.Stage {
	r.t.Helper()
	s, err := r.d.Open(r.t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved, Partition: p})
	if err != nil {
		r.t.Fatalf("opening the stage of partition %d: %v", p, err)
	}
	return s
}

// input makes the batch of some prices on partition p.
func input(t testing.TB, p int32, prices ...*schemas.Price) stream.Batch {
	t.Helper()
	b := stream.Batch{Topic: schemas.TopicObserved, TopicID: stream.TopicID{1}, Partition: p}
	for i, price := range prices {
		value, err := jsonCodec[schemas.Price]{}.Append(nil, price)
		if err != nil {
			t.Fatal(err)
		}
		b.Records = append(b.Records, stream.Record{
			Topic: b.Topic, TopicID: b.TopicID, Partition: p, Offset: int64(i), Timestamp: day(0),
			Key: []byte(price.Instrument), Value: value,
		})
	}
	return b
}

// run puts one batch through the stage and, unless it is to be aborted, commits
// it. It returns what was published.
func (r *rig) run(s stream.Stage, b stream.Batch, commit bool) []stream.Record {
	r.t.Helper()
	out, err := s.Handle(r.t.Context(), b)
	if err != nil {
		r.t.Fatalf("handling a batch: %v", err)
	}
	published := r.log.transact(b.Partition, out.Records, commit)
	if !commit || out.Committed == nil {
		return nil
	}
	if err := out.Committed(r.t.Context(), published); err != nil {
		r.t.Fatalf("committing a batch: %v", err)
	}
	return published
}

func mustClose(t testing.TB, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
}

// prices decodes the committed prices of a partition.
func (r *rig) prices(rs []stream.Record) []schemas.Price {
	r.t.Helper()
	var ps []schemas.Price
	for _, rec := range rs {
		if rec.Topic != schemas.TopicPrices {
			continue
		}
		var p schemas.Price
		if err := (jsonCodec[schemas.Price]{}).Decode(r.t.Context(), rec.Value, &p); err != nil {
			r.t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

// told is a price in short: which event, which revision, what it says.
func told(ps []schemas.Price) []string {
	short := make([]string, len(ps))
	for i := range ps {
		short[i] = fmt.Sprintf("%s %s r%d %s", ps[i].Instrument, ps[i].EventTime.Format("01-02"), ps[i].Revision, ps[i].Price.Decimal)
		if ps[i].Withdrawn {
			short[i] += " withdrawn"
		}
	}
	return short
}

func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

func decimal(text string) schemas.NullDecimal {
	d, _, err := schemas.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return schemas.NullDecimal{Decimal: d, Valid: true}
}

// fixing is a price identified by its value date, slot one by its poll's slot.
func fixing(instrument string, n int, price string) *schemas.Price {
	date := schemas.DateOf(2026, 1, 1+n)
	p := &schemas.Price{
		Provider: "ecb", Instrument: instrument, Base: instrument[:3], Quote: instrument[4:],
		Kind: schemas.KindFixing, RateType: schemas.RateOfficial, Price: decimal(price),
		EventTime: day(n), EventTimeKind: schemas.TimeValueDate, ValueDate: &date,
		FetchedAt: day(n), RequestedAt: day(n),
	}
	p.EventID = schemas.EventID(p, day(n), 0)
	return p
}

func slotted(instrument string, n int, price string) *schemas.Price {
	p := fixing(instrument, n, price)
	p.Provider, p.Kind, p.RateType = "kraken", schemas.KindTicker, schemas.RateLast
	p.ValueDate, p.EventTimeKind = nil, schemas.TimeFetched
	p.EventID = schemas.EventID(p, day(n), 0)
	return p
}

var errBroken = errors.New("broken for the test")
