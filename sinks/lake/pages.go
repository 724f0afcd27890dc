package lake

import (
	"slices"
	"sync"
)

// pageSize is a multiple of the widths of all columns, so that no value of a fixed
// width lies in two pages.
const pageSize = 8 << 10

// smallPage is what a column begins with, and doubles up to a page: a block of many
// months has few rows of each, and a page for each of their columns would be a
// hundred megabytes.
const smallPage = 512

type page [pageSize]byte

// pagePool is pages that nobody has, for as long as the garbage collector leaves
// them. Its zero value is empty. It may be used in parallel.
type pagePool struct{ unused sync.Pool }

// take returns a page with anything in it.
func (p *pagePool) take() *page {
	if f, ok := p.unused.Get().(*page); ok {
		return f
	}
	return new(page)
}

func (p *pagePool) give(f *page) { p.unused.Put(f) }

// pages is bytes that are added at the end, in pages of one size. A slice that grows
// would hold up to twice what it was given, leave as much behind on its way there,
// and keep its largest size; this holds less than two pages more than its bytes, and
// gives every page back for any other column to take.
type pages struct {
	pool  *pagePool
	small []byte  // the bytes, as long as no page is held
	held  []*page // all but the last are full, and none is empty
	n     int     // bytes
}

// room adds up to n bytes, at least one, and returns them to be written: as many as
// the page has room for. They hold anything. n is not 0. Of a column that has had
// values of one width only, it is room for whole values.
func (p *pages) room(n int) []byte {
	if len(p.held) == 0 {
		if to := p.smallRoom(n); to != nil {
			return to
		}
	}
	at := p.n % pageSize
	if at == 0 {
		p.held = append(p.held, p.pool.take())
	}
	n = min(n, pageSize-at)
	p.n += n
	return p.held[len(p.held)-1][at : at+n]
}

// smallRoom is room before there is a page; nil: now there is one.
func (p *pages) smallRoom(n int) []byte {
	if p.n == len(p.small) && !p.growSmall() {
		f := p.pool.take()
		copy(f[:], p.small)
		p.held = append(p.held, f)
		return nil
	}
	n = min(n, len(p.small)-p.n)
	p.n += n
	return p.small[p.n-n : p.n]
}

// growSmall reports whether there still is less than a page.
func (p *pages) growSmall() bool {
	size := max(smallPage, 2*len(p.small))
	if size >= pageSize {
		return false
	}
	grown := make([]byte, size)
	copy(grown, p.small)
	p.small = grown
	return true
}

// append adds a copy of b.
func (p *pages) append(b []byte) {
	for len(b) > 0 {
		b = b[copy(p.room(len(b)), b):]
	}
}

// row returns the value of a row, of those of one width, to be read or written.
func (p *pages) row(row, width int) []byte {
	at := row * width
	if len(p.held) == 0 {
		return p.small[at:][:width]
	}
	return p.held[at/pageSize][at%pageSize:][:width]
}

// dropRows takes rows of one width out, given in order; the last ones take their
// places.
func (p *pages) dropRows(rows []int, width int) {
	left := p.n / width
	for _, row := range slices.Backward(rows) {
		left--
		copy(p.row(row, width), p.row(left, width))
	}
	p.truncate(left * width)
}

// each calls emit with all bytes in order, a page at a time. They are emit's until it
// returns.
func (p *pages) each(emit func([]byte) error) error { return p.eachFrom(0, emit) }

// eachFrom is each without the first bytes.
func (p *pages) eachFrom(at int, emit func([]byte) error) error {
	if len(p.held) == 0 {
		if at < p.n {
			return emit(p.small[at:p.n])
		}
		return nil
	}
	for at < p.n {
		end := min((at/pageSize+1)*pageSize, p.n)
		if err := emit(p.held[at/pageSize][at%pageSize : (end-1)%pageSize+1]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// truncate leaves the first n bytes; the pages of the others go back.
func (p *pages) truncate(n int) {
	if len(p.held) == 0 {
		p.n = n
		return
	}
	keep := (n + pageSize - 1) / pageSize
	for i, f := range p.held[keep:] {
		p.pool.give(f)
		p.held[keep+i] = nil
	}
	p.held, p.n = p.held[:keep], n
}

func (p *pages) reset() { p.truncate(0) }

// len is the number of bytes.
func (p *pages) len() int { return p.n }

// size is the memory that they take: whole pages, and the small one.
func (p *pages) size() int { return len(p.small) + len(p.held)*pageSize }
