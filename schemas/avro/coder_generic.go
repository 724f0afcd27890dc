package avro

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// enum writes or reads an enumeration whose symbols are numbered from 0 to last.
func enum[E ~uint8](c *coder, v *E, last E) {
	if c.reading {
		n := int64(c.readInt())
		if n < 0 || n > int64(last) {
			c.fail(errNotEnum)
			n = 0
		}
		*v = E(n)
		return
	}
	if *v > last {
		c.fail(fmt.Errorf("%T %d: %w", *v, uint8(*v), errNotEnum))
		return
	}
	c.data = binary.AppendVarint(c.data, int64(*v))
}

// nullable writes or reads a union of null and a type; nil is null. A value that
// is read is a new one: the one before may be shared by a copy of the record.
func nullable[T any](c *coder, v **T, each func(*coder, *T)) {
	set := c.branch(*v != nil)
	if c.reading {
		*v = nil
		if set {
			*v = new(T)
		}
	}
	if set {
		each(c, *v)
	}
}

// list writes or reads an array. An empty one is read as nil.
func list[T any](c *coder, v *[]T, each func(*coder, *T)) {
	if !c.reading {
		if n := len(*v); n > 0 {
			c.data = binary.AppendVarint(c.data, int64(n))
			for i := range *v {
				each(c, &(*v)[i])
			}
		}
		c.data = append(c.data, 0)
		return
	}
	start, outermost := c.at, !c.counting
	c.counting = true
	var scratch T
	total := c.blocks(func() { each(c, &scratch) })
	*v = nil
	if !outermost {
		return
	}
	c.counting = false
	if c.err != nil || total == 0 {
		return
	}
	c.at = start
	items := make([]T, 0, total)
	c.blocks(func() {
		items = items[:len(items)+1]
		each(c, &items[len(items)-1])
	})
	*v = items
}

// mapLimit bounds the entries of a map: they are the headers of an HTTP request
// or a record.
const mapLimit = 4096

// mapping writes or reads a map, in the order of its keys, so that equal records
// have equal bytes. An empty one is read as nil.
func mapping[V any](c *coder, v *map[string]V, each func(*coder, *V)) {
	if c.reading {
		*v = nil
		entries := 0
		c.blocks(func() {
			if entries++; entries > mapLimit {
				c.fail(fmt.Errorf("a map has more than %d entries", mapLimit))
				return
			}
			key := c.readText()
			var value V
			each(c, &value)
			if *v == nil {
				*v = make(map[string]V)
			}
			(*v)[key] = value
		})
		return
	}
	if len(*v) > mapLimit {
		c.fail(fmt.Errorf("a map has %d entries, more than %d", len(*v), mapLimit))
		return
	}
	if len(*v) > 0 {
		c.data = binary.AppendVarint(c.data, int64(len(*v)))
		for _, key := range slices.Sorted(maps.Keys(*v)) {
			value := (*v)[key]
			c.text(&key)
			each(c, &value)
		}
	}
	c.data = append(c.data, 0)
}

// blocks reads the blocks of an array or a map, calling item for each element,
// and returns how many there were. Every element of our schemas takes a byte at
// least, so a count beyond the bytes left is a lie. So is a size that is not what
// the elements take: readers that pass over a block by it would go on elsewhere.
func (c *coder) blocks(item func()) (total int) {
	for c.err == nil {
		n, size, sized := c.readLong(), int64(0), false
		if n < 0 {
			n, size, sized = -n, c.readLong(), true
		}
		if n == 0 || c.err != nil {
			return total
		}
		if n < 0 || n > int64(len(c.data)-c.at) {
			c.fail(errTooLong)
			return total
		}
		start := c.at
		for i := int64(0); i < n && c.err == nil; i++ {
			item()
			total++
		}
		if sized && c.err == nil && int64(c.at-start) != size {
			c.fail(errBlockSize)
		}
	}
	return total
}
