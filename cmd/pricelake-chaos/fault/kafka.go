package fault

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka stands between clients and the brokers of a Kafka cluster. It reads
// just enough of the protocol to keep clients talking through it, whatever
// addresses the brokers advertise, and to lose the answer to one kind of
// request. Safe for parallel use.
type Kafka struct {
	seed func() string // host:port of any broker

	mu     sync.Mutex
	fronts map[string]*front // by the broker's own host:port
	lose   map[int16]int     // API key → answers still to be lost
	lost   map[int16]int
	conns  map[*kafkaConn]struct{}
	until  time.Time
	ctx    context.Context //nolint:containedctx // of Run: fronts are opened as brokers become known
	wg     sync.WaitGroup
	first  *front
}

// front is the listener that stands for one broker.
type front struct {
	listener net.Listener
	target   func() string
}

// NewKafka listens for the first broker; seed is asked at each connection.
func NewKafka(seed func() string) (*Kafka, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a proxy for Kafka: %w", err)
	}
	first := &front{listener: l, target: seed}
	return &Kafka{seed: seed, first: first, fronts: map[string]*front{seed(): first},
		lose: map[int16]int{}, lost: map[int16]int{}, conns: map[*kafkaConn]struct{}{}}, nil
}

// Addr is what clients bootstrap from.
func (k *Kafka) Addr() string { return k.first.listener.Addr().String() }

// Run serves until ctx ends and returns nil then.
func (k *Kafka) Run(ctx context.Context) error {
	k.mu.Lock()
	k.ctx = ctx
	k.mu.Unlock()
	k.wg.Go(func() { k.accept(ctx, k.first) })
	<-ctx.Done()
	k.mu.Lock()
	for _, f := range k.fronts {
		_ = f.listener.Close()
	}
	k.mu.Unlock()
	k.Reset()
	k.wg.Wait()
	return nil
}

func (k *Kafka) accept(ctx context.Context, f *front) {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		if ctx.Err() != nil {
			cut(client)
			return
		}
		k.wg.Go(func() { k.serve(ctx, client, f.target()) })
	}
}

// kafkaConn is one connection of a client to one broker. Answers come in the
// order of the requests.
type kafkaConn struct {
	client, server net.Conn
	mu             sync.Mutex
	pending        map[int32]request
}

type request struct{ key, version int16 }

func (c *kafkaConn) close() {
	cut(c.client)
	cut(c.server)
}

func (k *Kafka) serve(ctx context.Context, client net.Conn, target string) {
	server, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", target)
	if err != nil {
		cut(client)
		return
	}
	c := &kafkaConn{client: client, server: server, pending: map[int32]request{}}
	k.mu.Lock()
	k.conns[c] = struct{}{}
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.conns, c)
		k.mu.Unlock()
	}()
	var wg sync.WaitGroup
	wg.Go(func() { defer c.close(); k.requests(c) })
	wg.Go(func() { defer c.close(); k.answers(c) })
	wg.Wait()
}

const maxFrame = 256 << 20

var errFrame = errors.New("not a frame of Kafka's protocol")

// header reads the length of a frame and its first n bytes.
func header(r io.Reader, n int) (frame []byte, rest int64, err error) {
	frame = make([]byte, 4+n)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, 0, err
	}
	length := int64(binary.BigEndian.Uint32(frame))
	if length < int64(n) || length > maxFrame {
		return nil, 0, errFrame
	}
	return frame, length - int64(n), nil
}

// requests copies requests and remembers what they ask for.
func (k *Kafka) requests(c *kafkaConn) {
	in := bufio.NewReaderSize(c.client, 64<<10)
	for {
		frame, rest, err := header(in, 8) // key, version, correlation
		if err != nil {
			return
		}
		k.wait()
		r := request{int16(binary.BigEndian.Uint16(frame[4:])), int16(binary.BigEndian.Uint16(frame[6:]))}
		c.mu.Lock()
		c.pending[int32(binary.BigEndian.Uint32(frame[8:]))] = r
		c.mu.Unlock()
		if _, err := c.server.Write(frame); err != nil {
			return
		}
		if _, err := io.CopyN(c.server, in, rest); err != nil {
			return
		}
	}
}

// answers copies answers, but for one to be lost, and puts our addresses into
// those that hold the brokers'.
func (k *Kafka) answers(c *kafkaConn) {
	in := bufio.NewReaderSize(c.server, 64<<10)
	for {
		frame, rest, err := header(in, 4) // correlation
		if err != nil {
			return
		}
		k.wait()
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		c.mu.Lock()
		r, known := c.pending[id]
		delete(c.pending, id)
		c.mu.Unlock()
		if known && k.loses(r.key) {
			return // the server has acted, the client will never know
		}
		if !known || !namesBrokers(r.key) {
			if _, err := c.client.Write(frame); err != nil {
				return
			}
			if _, err := io.CopyN(c.client, in, rest); err != nil {
				return
			}
			continue
		}
		body := make([]byte, rest)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		if body, err = k.rewrite(r, body); err != nil {
			return
		}
		binary.BigEndian.PutUint32(frame, uint32(4+len(body)))
		if _, err := c.client.Write(append(frame, body...)); err != nil {
			return
		}
	}
}

func namesBrokers(key int16) bool {
	return key == kmsg.Metadata.Int16() || key == kmsg.FindCoordinator.Int16() || key == kmsg.DescribeCluster.Int16()
}

// rewrite puts our addresses into an answer, which follows its correlation id.
func (k *Kafka) rewrite(r request, body []byte) ([]byte, error) {
	resp := kmsg.ResponseForKey(r.key)
	resp.SetVersion(r.version)
	var tags []byte
	if resp.IsFlexible() {
		if len(body) == 0 || body[0] != 0 {
			return body, nil // tags of the header, which nobody sends: leave it alone
		}
		tags, body = body[:1], body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("reading an answer of Kafka: %w", err)
	}
	switch resp := resp.(type) {
	case *kmsg.MetadataResponse:
		for i := range resp.Brokers {
			b := &resp.Brokers[i]
			b.Host, b.Port = k.front(b.Host, b.Port)
		}
	case *kmsg.FindCoordinatorResponse:
		resp.Host, resp.Port = k.front(resp.Host, resp.Port)
		for i := range resp.Coordinators {
			b := &resp.Coordinators[i]
			b.Host, b.Port = k.front(b.Host, b.Port)
		}
	case *kmsg.DescribeClusterResponse:
		for i := range resp.Brokers {
			b := &resp.Brokers[i]
			b.Host, b.Port = k.front(b.Host, b.Port)
		}
	}
	return resp.AppendTo(append([]byte(nil), tags...)), nil
}

// front returns our address for a broker, opening it when it is new.
func (k *Kafka) front(host string, port int32) (string, int32) {
	if host == "" || port <= 0 {
		return host, port
	}
	addr := net.JoinHostPort(host, strconv.Itoa(int(port)))
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.fronts[addr]
	if f == nil && k.ctx != nil && k.ctx.Err() == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return host, port
		}
		f = &front{listener: l, target: func() string { return addr }}
		k.fronts[addr] = f
		k.wg.Go(func() { k.accept(k.ctx, f) })
	}
	if f == nil {
		return host, port
	}
	at := f.listener.Addr().(*net.TCPAddr)
	return "127.0.0.1", int32(at.Port)
}

func (k *Kafka) wait() {
	k.mu.Lock()
	d := time.Until(k.until)
	k.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

// loses says whether this answer is one to be lost.
func (k *Kafka) loses(key int16) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lose[key] == 0 {
		return false
	}
	k.lose[key]--
	k.lost[key]++
	return true
}

// LoseAnswer makes the next so many answers to a kind of request disappear: the
// broker has acted, and the connection is cut.
func (k *Kafka) LoseAnswer(key int16, times int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lose[key] = times
}

// Lost returns how many answers were lost, by the name of the request.
func (k *Kafka) Lost() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	lost := map[string]int{}
	for key, n := range k.lost {
		lost[kmsg.NameForKey(key)] = n
	}
	return lost
}

// Heal forgets what is still to be lost.
func (k *Kafka) Heal() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.lose)
	k.until = time.Time{}
}

// Reset cuts every connection and returns how many there were.
func (k *Kafka) Reset() int {
	k.mu.Lock()
	all := make([]*kafkaConn, 0, len(k.conns))
	for c := range k.conns {
		all = append(all, c)
	}
	k.mu.Unlock()
	for _, c := range all {
		c.close()
	}
	return len(all)
}

// Stall lets no byte through for a while, in either direction.
func (k *Kafka) Stall(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until = time.Now().Add(d)
}
