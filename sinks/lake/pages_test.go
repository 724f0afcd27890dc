package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/schemas"
)

// bytesOfPages are the bytes of pages, which come a page at a time.
func bytesOfPages(t *testing.T, p *pages) []byte {
	t.Helper()
	var all []byte
	_ = p.each(func(piece []byte) error {
		if len(piece) == 0 || len(piece) > pageSize {
			t.Errorf("a piece of %d bytes", len(piece))
		}
		all = append(all, piece...)
		return nil
	})
	return all
}

func checkPages(t *testing.T, p *pages, want []byte) {
	t.Helper()
	if got := bytesOfPages(t, p); !bytes.Equal(got, want) || p.len() != len(want) {
		t.Fatalf("%d bytes, and %d are said, want %d", len(got), p.len(), len(want))
	}
	// Beside whole pages there is what a column begins with.
	most := (len(want)+pageSize-1)/pageSize*pageSize + pageSize/2
	if len(p.held) == 0 {
		most = pageSize / 2
	}
	if p.size() < len(want) || p.size() > most {
		t.Errorf("%d bytes take %d, want at most %d", len(want), p.size(), most)
	}
}

// What a column begins with is never more than twice of what it holds, and never a
// page.
func TestPagesBeginSmall(t *testing.T) {
	p := &pages{pool: new(pagePool)}
	for n := 1; n <= pageSize/2; n++ {
		p.append([]byte{byte(n)})
		if p.size() > max(2*n, smallPage) {
			t.Fatalf("%d bytes take %d", n, p.size())
		}
	}
	if p.append([]byte{1}); p.size() != pageSize+pageSize/2 || len(p.held) != 1 {
		t.Errorf("%d bytes take %d in %d pages", p.len(), p.size(), len(p.held))
	}
	p.reset()
	if p.append([]byte{1}); len(p.held) != 0 {
		t.Error("one byte takes a page")
	}
}

// aroundPages are numbers of rows of a width at which pages begin and end.
func aroundPages(width int) (rows []int) {
	for _, full := range []int{1, 2, 3} {
		n := full * pageSize / width
		rows = append(rows, n-1, n, n+1)
	}
	return append(rows, 0, 1)
}

func TestPagesOfRows(t *testing.T) {
	pool := new(pagePool)
	for _, width := range []int{1, 4, 8, 16} {
		for _, rows := range aroundPages(width) {
			p, want := &pages{pool: pool}, make([]byte, rows*width)
			for i := range want {
				want[i] = byte(i*7 + i/251)
			}
			for rest := want; len(rest) > 0; {
				to := p.room(min(len(rest), 5*width))
				if len(to)%width != 0 {
					t.Fatalf("room for %d bytes of rows of %d", len(to), width)
				}
				rest = rest[copy(to, rest):]
			}
			checkPages(t, p, want)
			for row := range rows {
				if !bytes.Equal(p.row(row, width), want[row*width:(row+1)*width]) {
					t.Fatalf("row %d of %d, %d bytes each, is another", row, rows, width)
				}
			}
			p.reset()
			checkPages(t, p, nil)
		}
	}
}

func TestPagesAreTruncated(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), pageSize/2)
	for _, n := range []int{0, 1, smallPage - 1, smallPage, smallPage + 1, pageSize - 1, pageSize, pageSize + 1, 2 * pageSize, len(want)} {
		p := &pages{pool: new(pagePool)}
		p.append(want)
		p.truncate(n)
		checkPages(t, p, want[:n])
		p.append(want)
		checkPages(t, p, append(slices.Clone(want[:n]), want...))
	}
}

func TestRowsAreDroppedAcrossPages(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, width := range []int{1, 4, 16} {
		for _, rows := range aroundPages(width) {
			p, want := &pages{pool: new(pagePool)}, make([][]byte, rows)
			for i := range want {
				want[i] = binary.LittleEndian.AppendUint64(nil, r.Uint64())
				want[i] = append(want[i], want[i]...)[:width]
				p.append(want[i])
			}
			var drop []int
			for i := range want {
				if r.IntN(5) == 0 || i+1 == rows {
					drop = append(drop, i)
				}
			}
			for _, row := range slices.Backward(drop) {
				want[row] = want[len(want)-1]
				want = want[:len(want)-1]
			}
			p.dropRows(drop, width)
			checkPages(t, p, bytes.Join(want, nil))
		}
	}
}

// A page that was given back is one column's at a time.
func TestPagesAreNotShared(t *testing.T) {
	pool := new(pagePool)
	columns, want := make([]pages, 4), make([][]byte, 4)
	for i := range columns {
		columns[i].pool = pool
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		i := r.IntN(len(columns))
		if r.IntN(10) == 0 {
			columns[i].reset()
			want[i] = want[i][:0]
		}
		b := bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(2*pageSize))
		columns[i].append(b)
		want[i] = append(want[i], b...)
		for i := range columns {
			checkPages(t, &columns[i], want[i])
		}
	}
}

// Texts may lie in several pages, and so may their lengths.
func TestTextsAcrossPages(t *testing.T) {
	encoded := func(all [][]byte) (b []byte) {
		for _, text := range all {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
		return b
	}
	texts, want := newTexts(new(pagePool)), [][]byte(nil)
	for i, n := range []int{0, 1, pageSize - 6, 130, 2, 3*pageSize + 5, 0, 127, 128, pageSize} {
		want = append(want, bytes.Repeat([]byte{byte('a' + i)}, n))
		texts.add([]schemas.Field{{Bytes: want[i]}}, 1)
		checkPages(t, &texts.pages, encoded(want))
	}
	texts.drop([]int{1, 5})
	want[5], want[1] = want[9], want[8]
	checkPages(t, &texts.pages, encoded(want[:8]))
	if texts.Rows() != 8 {
		t.Errorf("%d texts, want 8", texts.Rows())
	}
}

// Numbers of names are sent as wide as the keys need, from as many pages as there are.
func TestNamesOfEveryWidth(t *testing.T) {
	for keys, width := range map[int]int{1: 1, 255: 1, 256: 2, 65_535: 2, 65_536: 4} {
		names := newNames(new(pagePool))
		var fields []schemas.Field
		for i := range 70_001 {
			fields = append(fields, schemas.Field{Bytes: []byte(fmt.Sprint(i % keys))})
		}
		for some := range slices.Chunk(fields, rowsAtOnce) {
			names.add(some, 1)
		}
		sent := []byte(bytesOfColumn(names))
		codes := sent[len(sent)-width*len(fields):]
		if n := len(sent) - len(codes) - 24 - names.keys.len(); n != 0 {
			t.Fatalf("%d keys: %d bytes too many", keys, n)
		}
		for i := range fields {
			var code [8]byte
			copy(code[:], codes[i*width:(i+1)*width])
			if got := binary.LittleEndian.Uint64(code[:]); got != uint64(i%keys) {
				t.Fatalf("%d keys: row %d has number %d", keys, i, got)
			}
		}
	}
}
