package kafka

import (
	"slices"
	"sync"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// pageRecords is how many records a page has room for.
	pageRecords = 256
	// fewRecords is the room of the page that one record opens which finds nothing
	// waiting: on most of hundreds of partitions no more come.
	fewRecords = 8
)

// page is a run of records that wait, in memory of a fixed size: however many wait,
// none is copied to make room for more, and no memory is left over that is as large
// as the longest backlog was.
type page struct {
	room     []stream.Record
	from, to int // of room: the records
	bytes    int // of the records
}

func (p *page) records() []stream.Record { return p.room[p.from:p.to] }

// skip takes the first n records out.
func (p *page) skip(n int) {
	if n == len(p.records()) {
		p.from, p.bytes = p.to, 0
		return
	}
	for i := range p.records()[:n] {
		p.bytes -= p.room[p.from+i].Size()
	}
	p.from += n
}

// waiting is the records that wait for one worker, in order. It is not to be used
// in parallel.
type waiting struct {
	pages []*page // none is empty
	n     int
	few   *page      // an empty one of fewRecords, or nil
	spare *sync.Pool // of empty pages of pageRecords
}

// push appends a record and returns its size.
func (w *waiting) push(r *kgo.Record, id stream.TopicID) (bytes int) {
	*w.place() = fromClient(r, id)
	return w.placed()
}

// place is where the next record is to be put; placed appends what was put there, and
// returns its size.
func (w *waiting) place() *stream.Record {
	if len(w.pages) == 0 {
		w.pages = append(w.pages, w.small())
	}
	p := w.pages[len(w.pages)-1]
	if p.to == len(p.room) {
		p = w.empty()
		w.pages = append(w.pages, p)
	}
	return &p.room[p.to]
}

func (w *waiting) placed() (bytes int) {
	p := w.pages[len(w.pages)-1]
	bytes = p.room[p.to].Size()
	p.to++
	p.bytes += bytes
	w.n++
	return bytes
}

func (w *waiting) empty() *page {
	if p, ok := w.spare.Get().(*page); ok {
		return p
	}
	return &page{room: make([]stream.Record, pageRecords)}
}

// small is an empty page of fewRecords.
func (w *waiting) small() (p *page) {
	if p, w.few = w.few, nil; p == nil {
		p = &page{room: make([]stream.Record, fewRecords)}
	}
	return p
}

// free takes a page back that nobody looks at any more.
func (w *waiting) free(p *page) {
	clear(p.room[:p.to]) // lets go of keys and values
	p.from, p.to, p.bytes = 0, 0, 0
	if len(p.room) == fewRecords {
		w.few = p
		return
	}
	w.spare.Put(p)
}

// first is the next record, nil if there is none.
func (w *waiting) first() *stream.Record {
	if w.n == 0 {
		return nil
	}
	return &w.pages[0].records()[0]
}

// fitting is how many of the next records, and bytes, are within both bounds: at
// least one record if there is any.
func (w *waiting) fitting(maxRecords, maxBytes int) (n, bytes int) {
	for _, p := range w.pages {
		if n+len(p.records()) <= maxRecords && bytes+p.bytes <= maxBytes {
			n, bytes = n+len(p.records()), bytes+p.bytes
			continue
		}
		for i := range p.records() {
			b := p.records()[i].Size()
			if n == maxRecords || n > 0 && bytes+b > maxBytes {
				return n, bytes
			}
			n, bytes = n+1, bytes+b
		}
	}
	return n, bytes
}

// pop moves the next records into rs, as many as it has elements, and returns it.
func (w *waiting) pop(rs []stream.Record) []stream.Record {
	for done := 0; done < len(rs); {
		p := w.pages[0]
		n := copy(rs[done:], p.records())
		done += n
		w.n -= n
		if p.skip(n); p.from == p.to {
			w.shift()
			w.free(p)
		}
	}
	return rs
}

// popPage removes the next page, or the first maxRecords records of it. It is the
// caller's until free or unpop; nil: nothing waits.
func (w *waiting) popPage(maxRecords int) *page {
	if w.n == 0 || maxRecords < 1 {
		return nil
	}
	p := w.pages[0]
	if len(p.records()) <= maxRecords {
		w.shift()
		w.n -= len(p.records())
		return p
	}
	part, bytes := w.empty(), p.bytes
	part.to = copy(part.room[:maxRecords], p.records())
	p.skip(maxRecords)
	part.bytes = bytes - p.bytes
	w.n -= maxRecords
	return part
}

// unpop puts back what is left of a page that popPage returned.
func (w *waiting) unpop(p *page) {
	w.pages = slices.Insert(w.pages, 0, p)
	w.n += len(p.records())
}

func (w *waiting) shift() {
	w.pages[0] = nil
	if w.pages = w.pages[1:]; len(w.pages) == 0 {
		w.pages = nil
	}
}

// drop lets go of everything.
func (w *waiting) drop() {
	for _, p := range w.pages {
		w.free(p)
	}
	w.pages, w.n = nil, 0
}
