package lake

import (
	"context"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
)

// Gather implements sinks.Gathering: for the topics whose records go from their
// bytes into columns.
func (s *Sink) Gather(p sinks.Partition) sinks.Pack {
	table, ok := s.loaders[p.Topic].(*fieldTable)
	if !ok || table.fits() != nil {
		return nil
	}
	return &pack{sink: s, fill: table.filling()}
}

var _ sinks.AskingPack = (*pack)(nil)

// pack is rows of one partition of a topic that are gathered into columns.
type pack struct {
	sink  *Sink
	fill  *fieldFill
	rows  int // that were added and not taken out by Ask
	asked int // when the server was asked last
}

// Add implements sinks.Pack. A record that cannot be read now is left to Sink.Write,
// which says why.
func (p *pack) Add(ctx context.Context, rs []stream.Record) (taken int, bad []sinks.Refusal) {
	// The columns have copies of everything from flush on.
	defer p.fill.rows.forget()
	defer p.fill.flush()
	for ; taken < len(rs); taken++ {
		err := p.fill.add(ctx, &rs[taken])
		if err == nil {
			p.rows++
			continue
		}
		final, ok := sinks.Refused(err)
		if !ok {
			break
		}
		bad = append(bad, sinks.Refusal{Index: taken, Reason: final.Reason, Err: err})
	}
	return taken, bad
}

// Bytes implements sinks.Pack.
func (p *pack) Bytes() int {
	n := 0
	for _, b := range p.fill.blocks {
		n += b.bytes()
	}
	return n
}

const (
	// askEvery is how many rows are added, for each part of the table, before the
	// server is asked about them: each part is a question.
	askEvery = 16 << 10
	// askTimeout bounds a question that can wait: the INSERT will tell.
	askTimeout = 5 * time.Second
)

// Ask implements sinks.AskingPack. Where the server is asked by many already it is
// put off.
func (p *pack) Ask(ctx context.Context, b sinks.Block) (bad []sinks.Refusal, ok bool) {
	if p.rows-p.asked < p.sink.askEvery*len(p.fill.blocks) {
		return nil, false
	}
	select {
	case p.sink.asking <- struct{}{}:
		defer func() { <-p.sink.asking }()
	default:
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	parts := p.fill.parts(p.origin(b))
	ok = len(parts) > 0
	for i := range parts {
		parts[i].table = p.sink.into(parts[i].table)
		named, asked := p.sink.ask(ctx, b, &parts[i], false)
		bad, ok = merged(bad, named), ok && asked
	}
	p.rows -= len(bad)
	p.asked = p.rows
	return bad, ok
}

func (p *pack) origin(b sinks.Block) origin {
	return origin{topicID: b.TopicID, partition: b.Number, epoch: b.Epoch, insertedAt: p.sink.now()}
}

// Write implements sinks.Pack. The columns stay until Reset: what becomes of a
// block whose outcome is unknown is decided by whoever calls.
func (p *pack) Write(ctx context.Context, b sinks.Block, bad []sinks.Refusal) error {
	done, err := p.sink.turn(ctx, p.rows)
	if err != nil {
		return err
	}
	defer done()
	parts := p.fill.parts(p.origin(b))
	for i := range parts {
		parts[i].free = func() {}
	}
	return p.sink.send(ctx, b, parts, slices.Clone(bad))
}

// Whole implements sinks.Pack: rows that break a rule are taken out of the columns.
// Where Ask has left none the server must have its say on all of them once more: who
// writes them again may have mended the rule.
func (p *pack) Whole() bool {
	rows := 0
	for _, b := range p.fill.blocks {
		rows += b.rows
	}
	return rows == p.rows && (rows > 0 || len(p.fill.blocks) == 0)
}

// Reset implements sinks.Pack.
func (p *pack) Reset() {
	p.fill.reset()
	p.rows, p.asked = 0, 0
}
