package lake

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

// onceRead are records whose memory somebody else gets when they were gathered.
func onceRead(rs []stream.Record) []stream.Record {
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].Value = bytes.Clone(rs[i].Value)
	}
	return rs
}

func overwrite(rs []stream.Record) {
	for i := range rs {
		for j := range rs[i].Value {
			rs[i].Value[j] = 'x'
		}
	}
	clear(rs)
}

// gatherAll hands all of the records to a pack, some at a time, and returns how many
// it took, and which of them are bad.
func gatherAll(ctx context.Context, p sinks.Pack, rs []stream.Record, some int) (taken int, bad []sinks.Refusal) {
	for taken < len(rs) {
		bit := onceRead(rs[taken:min(len(rs), taken+some)])
		n, named := p.Add(ctx, bit)
		for _, f := range named {
			f.Index += taken
			bad = append(bad, f)
		}
		overwrite(bit)
		if taken += n; n < len(bit) {
			break
		}
	}
	return taken, bad
}

// pagesOfBlock is how many pages few rows of prices take: one for each of 27 columns
// and two of the lineage, another for each of six that may be null and seven of names.
const pagesOfBlock = 27 + 2 + 6 + 7

// Rows that were gathered are those that a block of the same records has, byte by
// byte, also when the memory of the records is used again, and in a pack that was
// used before.
func TestGatheredColumnsAreThoseOfABlock(t *testing.T) {
	var rs []stream.Record
	for i := range 100 {
		p := somePrice(t, i)
		p.EventTime = p.EventTime.AddDate(0, -i/7%3, 0)
		p.TradeID = p.EventID.String()[:i%20]
		rs = append(rs, record(t, schemas.TopicPrices, int64(10+3*i), p))
	}
	decoders := jsonDecoders()
	s := &Sink{loaders: decoders.loaders(nil, func(string, []string) {})}
	encode := func(parts []part) (all [][]byte) {
		for i := range parts {
			for _, c := range parts[i].cols {
				var buf bytes.Buffer
				_ = c.data.(pieces).each(func(b []byte) error { buf.Write(b); return nil })
				all = append(all, buf.Bytes())
			}
		}
		return all
	}
	from := origin{topicID: topicID, partition: 3, epoch: 1}
	parts, err := s.loaders[schemas.TopicPrices].load(t.Context(), block(rs...), from)
	if err != nil {
		t.Fatal(err)
	}
	want := encode(parts)
	p := s.Gather(sinks.Partition{Topic: schemas.TopicPrices}).(*pack)
	for _, some := range []int{1, 7, 16, 33, 100} {
		if n, bad := gatherAll(t.Context(), p, rs, some); n != len(rs) || len(bad) > 0 {
			t.Fatalf("%d records were taken, %d of them bad, want all", n, len(bad))
		}
		if got := encode(p.fill.parts(from)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("gathered %d at a time: other columns", some)
		}
		// Of a block of many months each has few rows: they must not take a page each.
		if n, few := p.Bytes(), 3*pagesOfBlock*smallPage; n < few || n > 4*few || !p.Whole() {
			t.Errorf("%d bytes, whole %v; want little more than %d small pages for each of three months", n, p.Whole(), pagesOfBlock)
		}
		if p.Reset(); p.Bytes() != 0 {
			t.Error("it holds something after Reset")
		}
	}
	if s.Gather(sinks.Partition{Topic: schemas.TopicPolls}) != nil {
		t.Error("polls are gathered")
	}
}

// A record that will never be a row is named. One that cannot be read now is not
// taken, nor one after it; those before stay.
func TestGatherOfBadRecords(t *testing.T) {
	decoders := jsonDecoders()
	s := &Sink{loaders: decoders.loaders(nil, func(string, []string) {})}
	valueless := somePrice(t, 2)
	valueless.Price = schemas.NullDecimal{}
	for _, bad := range []any{"no record", "outage", valueless} {
		p := s.Gather(sinks.Partition{Topic: schemas.TopicPrices}).(*pack)
		rs := []stream.Record{record(t, schemas.TopicPrices, 1, somePrice(t, 1)), record(t, schemas.TopicPrices, 2, bad), record(t, schemas.TopicPrices, 3, somePrice(t, 3))}
		n, named := p.Add(t.Context(), rs)
		if bad == "outage" {
			if n != 1 || len(named) > 0 || !p.Whole() || p.rows != 1 {
				t.Errorf("%v: %d taken, %v, %d rows", bad, n, named, p.rows)
			}
			continue
		}
		if n != 3 || len(named) != 1 || named[0].Index != 1 || named[0].Err == nil || !p.Whole() || p.rows != 2 {
			t.Errorf("%v: %d taken, %v, %d rows", bad, n, named, p.rows)
		}
	}
}

// gatheredWrites writes blocks by way of a pack, as the handler does.
type gatheredWrites struct{ *Sink }

func (g gatheredWrites) Write(ctx context.Context, b sinks.Block) error {
	p := g.Gather(b.Partition)
	defer p.Reset()
	taken, bad := gatherAll(ctx, p, b.Records, 2)
	if taken < len(b.Records) {
		return g.Sink.Write(ctx, b)
	}
	for i := range b.Records {
		b.Offsets = append(b.Offsets, b.Records[i].Offset)
	}
	b.Records = nil
	return p.Write(ctx, b, bad)
}

func TestConformanceGathered(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	conform(t, l, gatheredWrites{openSink(t, l)})
}

// gatherLog hands all records of a log to a claim, in two bits.
func gatherLog(t *testing.T, sink stream.RangeSink, b stream.Batch) stream.Gatherer {
	t.Helper()
	return gatherBits(t, sink, b, (len(b.Records)+1)/2)
}

// gatherBits hands all records of a log to a claim, some at a time.
func gatherBits(t *testing.T, sink stream.RangeSink, b stream.Batch, some int) stream.Gatherer {
	t.Helper()
	g, ok := sink.(stream.Gatherer)
	if !ok {
		t.Fatalf("%T does not gather", sink)
	}
	for bits := range slices.Chunk(b.Records, some) {
		b.Records = onceRead(bits)
		n, held := g.Gather(t.Context(), b)
		if n != len(bits) || held == 0 {
			t.Fatalf("%d of %d records were taken, %d bytes are held", n, len(bits), held)
		}
		overwrite(b.Records)
	}
	return g
}

// Rows that the server refuses are found and buried with the bytes of their
// records, which are read again once: those of later ranges are kept.
func TestGatheredRowsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{positive, positiveOrNull} {
		l := openLake(t)
		g := priceLog(t, 40)
		free := somePrice(t, 1000)
		free.Price = dec(t, "0")
		g.records[7] = record(t, schemas.TopicPrices, g.records[7].Offset, free)
		if err := l.conn.Exec(t.Context(), rule); err != nil {
			t.Fatal(err)
		}
		letters, rereads := new(published), 0
		claim := g.claim()
		reread := claim.Reread
		claim.Reread = func(ctx context.Context, first, last int64, each func(stream.Record) error) error {
			if rereads++; rereads == 1 {
				return errors.New("the broker is away")
			}
			return reread(ctx, first, last, each)
		}
		s, err := sinks.NewHandler(handlerOptions(openSink(t, l), letters)).Open(t.Context(), claim)
		if err != nil {
			t.Fatal(err)
		}
		sink := gatherLog(t, s, g.batch())
		if err := sink.WriteGathered(t.Context(), claim.Intend); err == nil {
			t.Error("nothing was said of records that cannot be read again")
		}
		if err := sink.WriteGathered(t.Context(), claim.Intend); err != nil {
			t.Fatal(err)
		}
		g.once(l, 7)
		if len(letters.sent) != 1 || rereads != 2 {
			t.Errorf("%d dead letters, %d times read again; want 1 and 2", len(letters.sent), rereads)
		}
		later, after := g.batch(), g.records[len(g.records)-1].Offset
		later.Records = nil
		for i := range int64(10) {
			p := somePrice(t, int(2000+i))
			if i == 3 {
				p.Price = dec(t, "0")
			}
			later.Records = append(later.Records, record(t, schemas.TopicPrices, after+1+i, p))
		}
		if err := gatherLog(t, s, later).WriteGathered(t.Context(), claim.Intend); err != nil {
			t.Fatal(err)
		}
		if len(letters.sent) != 2 || rereads != 2 {
			t.Errorf("%d dead letters, %d times read again; want 2 and 2: the records of the second range were kept", len(letters.sent), rereads)
		}
	}
}

// What a gathered range leaves open is finished by a successor that knows its
// records only, under the same name.
func TestSuccessorOfAGatheredRange(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	g := priceLog(t, 40)
	claim := g.claim()
	s, err := sinks.NewHandler(handlerOptions(openSink(t, l), new(published))).Open(t.Context(), claim)
	if err != nil {
		t.Fatal(err)
	}
	if err := gatherLog(t, s, g.batch()).WriteGathered(t.Context(), claim.Intend); err != nil {
		t.Fatal(err)
	}
	intent, err := sinks.ParseIntent(g.metadata)
	if err != nil {
		t.Fatal(err)
	}
	if want := sinks.Hash(g.records); intent.Hash != want || intent.Records != len(g.records) || g.committed != g.records[0].Offset {
		t.Errorf("the intent is %q at %d, want the hash %x of %d records", g.metadata, g.committed, want, len(g.records))
	}
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	g.once(l)
	forgetTokens(t, l)
	if err := g.open(openSink(t, l), new(published)); err != nil {
		t.Fatal(err)
	}
	g.once(l)
}

var _ sinks.Gathering = sinktest.Gathering{}
