package count

import (
	"encoding/binary"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

// row is what one revision of one trade has to be, in the topic prices.v1 and in
// the table.
type row struct {
	instrument, trade string
	revision          int64
	price, size       string
	micros            int64
}

// appendText writes a row as the table's query writes it.
func (r row) appendText(dst []byte) []byte {
	dst = append(append(dst, r.instrument...), '|')
	dst = append(append(dst, r.trade...), '|')
	dst = append(strconv.AppendInt(dst, r.revision, 10), '|')
	dst = append(append(dst, r.price...), '|')
	dst = append(append(dst, r.size...), '|')
	return strconv.AppendInt(dst, r.micros, 10)
}

// rowText is the same in ClickHouse's SQL.
const rowText = "concat(instrument,'|',trade_id,'|',toString(revision),'|',ifNull(toString(price),''),'|',ifNull(toString(size),''),'|',toString(toUnixTimestamp64Micro(event_time)))"

// tally is how many rows there are, and a sum of their hashes that does not
// depend on the order. The chain does.
type tally struct {
	rows  uint64
	sum   uint64
	chain uint64
}

func (t *tally) add(r row, buf []byte) []byte {
	buf = r.appendText(buf[:0])
	h := xxhash.Sum64(buf)
	t.rows++
	t.sum += h
	var link [16]byte
	binary.BigEndian.PutUint64(link[:], t.chain)
	binary.BigEndian.PutUint64(link[8:], h)
	t.chain = xxhash.Sum64(link[:])
	return buf
}

// tallies are tallies by instrument.
type tallies map[string]*tally

func (t tallies) of(instrument string) *tally {
	one := t[instrument]
	if one == nil {
		one = &tally{}
		t[instrument] = one
	}
	return one
}

// total adds up all instruments; the chain means nothing then.
func (t tallies) total() (all tally) {
	for _, one := range t {
		all.rows += one.rows
		all.sum += one.sum
	}
	return all
}

// model says what has to come of the recorded answers. It is fed with them in
// the order of their topic.
type model struct {
	world market.World
	state []map[int][]state // by call, page, and place on the page

	// observed and prices are the records of the topics, rows those of prices that
	// the lake takes.
	observed, prices, rows tallies
	repeats, rejects       uint64
	// collect, if set, is given every row that the lake takes.
	collect func(row)
	buf     []byte
	names   [][]string // instruments by call and symbol
}

// state is what the last record of a trade said.
type state struct {
	version  int8 // -1: nothing was said
	revision int8
}

func newModel(w market.World) *model {
	m := &model{world: w, observed: tallies{}, prices: tallies{}, rows: tallies{}, state: make([]map[int][]state, w.Calls), names: make([][]string, w.Calls)}
	for c := range m.state {
		m.state[c] = map[int][]state{}
		for s := range w.Symbols {
			m.names[c] = append(m.names[c], market.Instrument(c, s))
		}
	}
	return m
}

// answer feeds one recorded answer and returns how many of its items have to be
// rejected.
func (m *model) answer(a market.Answer) (rejects uint64) {
	m.world.Items(a, func(it market.Item) {
		if it.Bad {
			rejects++
			return
		}
		m.item(it)
	})
	m.rejects += rejects
	return rejects
}

func (m *model) item(it market.Item) {
	pages := m.state[it.Trade.Call]
	page := pages[it.Trade.Page]
	if page == nil {
		page = make([]state, m.world.Page)
		for i := range page {
			page[i].version = -1
		}
		pages[it.Trade.Page] = page
	}
	r := row{instrument: m.names[it.Trade.Call][it.Symbol], trade: it.Trade.ID(), price: it.Price, size: it.Size, micros: it.Micros}
	m.buf = m.observed.of(r.instrument).add(r, m.buf)
	s := &page[it.Trade.Index]
	switch {
	case int(s.version) == it.Version:
		m.repeats++
		return
	case s.version >= 0:
		s.revision++
	}
	s.version = int8(it.Version)
	r.revision = int64(s.revision)
	m.buf = m.prices.of(r.instrument).add(r, m.buf)
	if it.Refusal != market.Taken {
		return
	}
	m.buf = m.rows.of(r.instrument).add(r, m.buf)
	if m.collect != nil {
		m.collect(r)
	}
}
