package lake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// inserter is one connection for INSERTs. The client library begins and ends an
// INSERT on it; its block goes straight from our columns to the connection. The
// library would copy every column, and then the whole block, before it sends
// the first byte, which is half of what an INSERT costs here and three times
// its memory.
//
// The library has a pool for a single connection here, and uses it for one
// INSERT at a time: net is the one under it.
type inserter struct {
	conn  driver.Conn
	net   net.Conn
	block blockWriter
}

// inserters are the connections for INSERTs. The one that was used last is used
// first: the server may go on with the end of an INSERT after it has answered,
// and on one connection the next begins after that.
type inserters struct {
	free chan struct{} // one element for each that is free
	mu   sync.Mutex
	idle []*inserter
	all  []*inserter
}

func newInserters(most int) *inserters { return &inserters{free: make(chan struct{}, most)} }

func (s *inserters) add(i *inserter) {
	s.all = append(s.all, i)
	s.give(i)
}

func (s *inserters) take(ctx context.Context) (*inserter, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	return i, nil
}

func (s *inserters) give(i *inserter) {
	s.mu.Lock()
	s.idle = append(s.idle, i)
	s.mu.Unlock()
	s.free <- struct{}{}
}

func (s *inserters) close() error {
	var errs []error
	for _, i := range s.all {
		errs = append(errs, i.conn.Close())
	}
	return errors.Join(errs...)
}

func (l *Lake) newInserter() (*inserter, error) {
	i := new(inserter)
	options := *l.options
	options.FreeBufOnConnRelease = false
	if options.Compression = l.compression(); options.Compression != nil {
		i.block.compressor = compress.NewWriter(compress.LevelZero, compress.LZ4)
	}
	options.MaxOpenConns, options.MaxIdleConns = 1, 1
	options.DialStrategy = func(ctx context.Context, _ int, o *clickhouse.Options, dial clickhouse.Dial) (clickhouse.DialResult, error) {
		result, conn, err := l.connect(ctx, o, dial)
		i.net = conn
		return result, err
	}
	conn, err := clickhouse.Open(&options)
	if err != nil {
		return nil, fmt.Errorf("opening a connection for inserts into the lake at %s: %w", l.config.Address, err)
	}
	i.conn = conn
	return i, nil
}

// onThisMachine says whether an address is one that no network lies before. What
// is sent there is not compressed: that would take a fifth of the CPU time of the
// whole path, on the machine that also has the server.
func onThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// send sends the one block of an INSERT that the library has begun on this
// connection. On an error the INSERT must be aborted.
func (i *inserter) send(ctx context.Context, p *part) error {
	if i.net == nil {
		return errors.New("the connection of an INSERT is not known")
	}
	conn := i.net
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	i.block.to = conn
	err := i.block.write(p)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// blockWriter writes a block as a data packet of the native protocol: in frames
// that are each compressed with LZ4 and carry a checksum, or as it is.
type blockWriter struct {
	to         net.Conn
	compressor *compress.Writer // nil: as it is
	frame      []byte           // gathers what is small
	state      proto.Buffer
}

// frameBytes is the size of a frame before compression: it stays in the cache of
// a core.
const frameBytes = 256 << 10

func (w *blockWriter) write(p *part) error {
	packet := proto.Buffer{}
	packet.PutByte(byte(proto.ClientCodeData))
	packet.PutString("") // the table of the query
	if _, err := w.to.Write(packet.Buf); err != nil {
		return err
	}
	w.frame = w.frame[:0]
	head := proto.Buffer{}
	head.PutUVarInt(1) // is_overflows
	head.PutBool(false)
	head.PutUVarInt(2) // bucket_num
	head.PutInt32(-1)
	head.PutUVarInt(0) // end of the block's info
	head.PutUVarInt(uint64(len(p.cols)))
	head.PutUVarInt(uint64(p.rows))
	if err := w.emit(head.Buf); err != nil {
		return err
	}
	for i := range p.cols {
		if err := w.column(&p.cols[i]); err != nil {
			return fmt.Errorf("sending column %s of table %s: %w", p.cols[i].name, p.table, err)
		}
	}
	return w.flush()
}

// column writes a column with its name and type, in the serialization of its
// type.
func (w *blockWriter) column(c *nativeColumn) error {
	w.state.Reset()
	w.state.PutString(c.name)
	w.state.PutString(c.typ)
	w.state.PutBool(false) // no serialization of its own; since 22.3
	if d, ok := c.data.(proto.Preparable); ok {
		if err := d.Prepare(); err != nil {
			return err
		}
	}
	if d, ok := c.data.(proto.StateEncoder); ok {
		d.EncodeState(&w.state)
	}
	if d, ok := c.data.(pieces); ok {
		if err := w.emit(w.state.Buf); err != nil {
			return err
		}
		return d.each(w.emit)
	}
	c.data.EncodeColumn(&w.state)
	return w.emit(w.state.Buf)
}

// emit adds bytes to the frame and sends it when it is full. Of what is large
// frames are made in place.
func (w *blockWriter) emit(b []byte) error {
	for len(b) > 0 {
		if len(w.frame) == 0 && len(b) >= frameBytes {
			if err := w.put(b[:frameBytes]); err != nil {
				return err
			}
			b = b[frameBytes:]
			continue
		}
		n := min(len(b), frameBytes-len(w.frame))
		w.frame = append(w.frame, b[:n]...)
		b = b[n:]
		if len(w.frame) == frameBytes {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *blockWriter) flush() error {
	if len(w.frame) == 0 {
		return nil
	}
	err := w.put(w.frame)
	w.frame = w.frame[:0]
	return err
}

func (w *blockWriter) put(b []byte) error {
	if w.compressor == nil {
		_, err := w.to.Write(b)
		return err
	}
	if err := w.compressor.Compress(b); err != nil {
		return err
	}
	_, err := w.to.Write(w.compressor.Data)
	return err
}
