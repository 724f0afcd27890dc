package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks"
)

// cutter is a TCP proxy whose connections end when a budget of bytes in one
// direction is used up.
type cutter struct {
	listener net.Listener
	to       string
	// up and down are how many bytes towards the server and from it may still
	// pass. Below zero nothing does; a large number is no limit.
	up, down atomic.Int64
	wg       sync.WaitGroup
}

const unlimited = math.MaxInt64 / 2

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, to: to}
	c.up.Store(unlimited)
	c.down.Store(unlimited)
	c.wg.Go(c.accept)
	t.Cleanup(func() {
		listener.Close()
		c.up.Store(-1)
		c.down.Store(-1)
		c.wg.Wait()
	})
	return c
}

func (c *cutter) accept() {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", c.to)
		if err != nil {
			client.Close()
			continue
		}
		both := func() { client.Close(); server.Close() }
		c.wg.Go(func() { defer both(); c.pipe(server, client, &c.up) })
		c.wg.Go(func() { defer both(); c.pipe(client, server, &c.down) })
	}
}

func (c *cutter) pipe(to io.Writer, from net.Conn, budget *atomic.Int64) {
	buf := make([]byte, 4096)
	for {
		if err := from.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			return
		}
		n, err := from.Read(buf)
		left := budget.Add(-int64(n))
		if left < 0 {
			n = max(0, n+int(max(left, -int64(n))))
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if left < 0 || (err != nil && !isTimeout(err)) {
			return
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// through returns a lake that speaks to the same database through the proxy.
func through(t *testing.T, l *Lake, c *cutter) *Lake {
	t.Helper()
	config := l.config
	config.Address = c.listener.Addr().String()
	config.InsertTimeout = 10 * time.Second
	cut, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cut.Close() })
	return cut
}

// A connection that is cut anywhere, on the way to the server or back, leaves
// each record with one row, once the loop has handed the batch over again.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	proxy := newCutter(t, l.config.Address)
	s := openSink(t, through(t, l, proxy))
	letters := new(published)
	h := newHandler(s, letters)
	sink, err := h.Open(t.Context(), stream.Claim{TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices}, TopicID: topicID})
	if err != nil {
		t.Fatal(err)
	}
	offset, cuts := int64(0), 0
	for round := range 24 {
		b := stream.Batch{Topic: schemas.TopicPrices, TopicID: topicID}
		for range 20 {
			p := somePrice(t, int(offset))
			p.EventTime = p.EventTime.AddDate(0, -int(offset%2), 0) // two INSERTs a batch
			b.Records = append(b.Records, record(t, schemas.TopicPrices, offset, p))
			offset += 1 + offset%3
		}
		// A batch takes some 9 kB up and 15 kB down here: cut in all of it.
		if round%2 == 0 {
			proxy.up.Store(int64(round) * 400)
		} else {
			proxy.down.Store(int64(round) * 600)
		}
		for try := 0; ; try++ {
			err := sink.Write(t.Context(), b, nil)
			if err == nil {
				break
			}
			cuts++
			proxy.up.Store(unlimited)
			proxy.down.Store(unlimited)
			if try == 5 {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		proxy.up.Store(unlimited)
		proxy.down.Store(unlimited)
	}
	if got, want := ask(t, l, "SELECT count(), uniqExact(_offset), uniqExact(event_id, revision) FROM prices"), "480\t480\t480"; got != want {
		t.Errorf("rows, offsets, events = %s, want %s", got, want)
	}
	if cuts < 8 {
		t.Errorf("only %d of 24 rounds were cut: the budgets miss the traffic", cuts)
	}
}

// published keeps dead letters.
type published struct {
	mu   sync.Mutex
	sent []stream.Record
}

func (p *published) Publish(_ context.Context, rs ...stream.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, rs...)
	return nil
}

func newHandler(s *Sink, p stream.Publisher) *sinks.Handler {
	return sinks.NewHandler(handlerOptions(s, p))
}

func handlerOptions(s sinks.Store, p stream.Publisher) sinks.Options {
	return sinks.Options{
		Store: s, Publisher: p, Epoch: 1, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		DeadLetter: func(in *stream.Record, reason schemas.DeadReason, cause error) (stream.Record, error) {
			return stream.Record{Topic: schemas.TopicDeadLetters, Key: fmt.Append(nil, in.Offset), Value: in.Value, Headers: []stream.Header{{Key: reason.String(), Value: []byte(cause.Error())}}}, nil
		},
	}
}

// A claim ends the INSERT that a predecessor left running: what it sends
// afterwards does not arrive. INSERTs of other partitions run on.
func TestClaimEndsThePredecessorsInsert(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	start := func(number int32, stall int) (send func() error) {
		b := block(record(t, schemas.TopicPrices, 1, somePrice(t, int(number))))
		b.Number = number
		parts, err := s.loaders[schemas.TopicPrices].load(t.Context(), b, origin{topicID: topicID, partition: number, insertedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		name := s.name(b, parts[0].month)
		settings := l.insertSettings(name)
		settings["receive_timeout"] = stall
		ctx := clickhouse.Context(t.Context(), clickhouse.WithQueryID(name), clickhouse.WithSettings(settings))
		slot, err := l.inserts.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.inserts.give(slot) })
		batch, err := slot.conn.PrepareBatch(ctx, insertText("prices", parts[0].cols))
		if err != nil {
			t.Fatal(err)
		}
		return func() error {
			if err := slot.send(ctx, &parts[0]); err != nil {
				return errors.Join(err, batch.Abort())
			}
			return batch.Send()
		}
	}
	predecessor, other := start(1, 1), start(11, 60)
	if got := ask(t, l, "SELECT count() FROM system.processes WHERE query_id LIKE 'lake:"+l.config.Database+":%'"); got != "2" {
		t.Fatalf("%s INSERTs are running, want 2", got)
	}
	claim := stream.Claim{TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices, Partition: 1}, TopicID: topicID}
	if _, err := newHandler(s, new(published)).Open(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	if err := predecessor(); err == nil {
		t.Error("the predecessor's INSERT was acknowledged after the claim")
	}
	if err := other(); err != nil {
		t.Errorf("the INSERT of another partition was ended: %v", err)
	}
	if got := ask(t, l, "SELECT _partition FROM prices"); got != "11" {
		t.Errorf("rows of partitions %q, want 11 alone", got)
	}
}

// What the server does with a token: drops a repeat of one it knows, even if
// its rows are gone, and takes another attempt. A swallowed block is noticed.
func TestSwallowedBlockIsNoticed(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	b := block(record(t, schemas.TopicPrices, 1, somePrice(t, 1)), record(t, schemas.TopicPrices, 3, somePrice(t, 2)))
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatalf("a repeat whose rows are there: %v", err)
	}
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices DELETE WHERE _offset = 3 SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), b); err == nil || !strings.Contains(err.Error(), "offset 3 is not there") {
		t.Fatalf("a repeat whose rows are gone: %v", err)
	}
	sink, err := newHandler(s, new(published)).Open(t.Context(), stream.Claim{TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices}, TopicID: topicID})
	if err != nil {
		t.Fatal(err)
	}
	// The handler knows that 1 is there and writes 3 under a name of its own.
	if err := sink.Write(t.Context(), stream.Batch{Records: b.Records}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, l, "SELECT _offset, count() FROM prices GROUP BY 1 ORDER BY 1"); got != "1\t1\n3\t1" {
		t.Errorf("offsets and rows %q", got)
	}
}

// A predecessor died between noting the name of its block and keeping the rows;
// its successor reads the very same batch.
func TestSuccessorOfASwallowedBlock(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	b := block(record(t, schemas.TopicPrices, 1, somePrice(t, 1)), record(t, schemas.TopicPrices, 3, somePrice(t, 2)))
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Exec(t.Context(), "ALTER TABLE prices DELETE WHERE 1 SETTINGS mutations_sync = 1"); err != nil {
		t.Fatal(err)
	}
	sink, err := newHandler(s, new(published)).Open(t.Context(), stream.Claim{TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices}, TopicID: topicID})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Write(t.Context(), stream.Batch{Records: b.Records}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, l, "SELECT groupArray(_offset) FROM (SELECT _offset FROM prices ORDER BY 1)"); got != "[1,3]" {
		t.Errorf("offsets %s, want [1,3]", got)
	}
}

// A row that the server refuses, one without any value, a value that the lake cannot
// hold and bytes that are no record become dead letters; the others are rows. A
// registry that is away is none of these.
func TestRefusedRowsBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	l := openLake(t)
	s := openSink(t, l)
	letters := new(published)
	sink, err := newHandler(s, letters).Open(t.Context(), stream.Claim{TopicPartition: stream.TopicPartition{Topic: schemas.TopicPrices}, TopicID: topicID})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.conn.Exec(t.Context(), positive); err != nil {
		t.Fatal(err)
	}
	valueless, ancient, free := somePrice(t, 3), somePrice(t, 5), somePrice(t, 6)
	free.Price = dec(t, "0")
	valueless.Price = schemas.NullDecimal{}
	ancient.EventTime = utc("1899-12-31 23:59:59")
	var rs []stream.Record
	for offset, value := range []any{somePrice(t, 0), "no record", somePrice(t, 2), valueless, somePrice(t, 4), ancient, free, somePrice(t, 7)} {
		rs = append(rs, record(t, schemas.TopicPrices, int64(offset), value))
	}
	if err := sink.Write(t.Context(), stream.Batch{Records: rs}, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, l, "SELECT groupArray(_offset) FROM (SELECT _offset FROM prices ORDER BY 1)"); got != "[0,2,4,7]" {
		t.Errorf("offsets %s, want [0,2,4,7]", got)
	}
	var got []string
	for _, r := range letters.sent {
		got = append(got, string(r.Key)+" "+r.Headers[0].Key)
	}
	if want := "1 decode, 3 invalid, 5 invalid, 6 refused"; strings.Join(got, ", ") != want {
		t.Errorf("dead letters %s, want %s", strings.Join(got, ", "), want)
	}
	if err := sink.Write(t.Context(), stream.Batch{Records: []stream.Record{record(t, schemas.TopicPrices, 9, "outage")}}, nil); err == nil {
		t.Error("a registry that is away made a row or a dead letter")
	}
}
