package count

import (
	"encoding/binary"
	"fmt"
)

// decoder reads values of Avro's binary encoding off the front of rest.
type decoder struct{ rest []byte }

// value reads a value. Arrays, maps and records inside are passed over.
func (d *decoder) value(s *schema) (any, error) {
	switch s.kind {
	case "null":
		return nil, nil
	case "boolean":
		b, err := d.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] == 1, nil
	case "int", "long", "enum":
		return d.long()
	case "float":
		return d.take(4)
	case "double":
		return d.take(8)
	case "fixed":
		return d.take(s.size)
	case "bytes":
		return d.counted()
	case "string":
		b, err := d.counted()
		return string(b), err
	case "union":
		n, err := d.long()
		if err != nil {
			return nil, err
		}
		if n < 0 || int(n) >= len(s.union) {
			return nil, fmt.Errorf("branch %d of a union of %d", n, len(s.union))
		}
		return d.value(s.union[n])
	case "record":
		for _, f := range s.fields {
			if _, err := d.value(f.of); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case "array", "map":
		return nil, d.blocks(s)
	}
	return nil, fmt.Errorf("a schema of the unknown type %q", s.kind)
}

// blocks passes over the blocks of an array or a map.
func (d *decoder) blocks(s *schema) error {
	for {
		n, err := d.long()
		if err != nil || n == 0 {
			return err
		}
		if n < 0 { // with its size in bytes, to pass over it at once
			size, err := d.long()
			if err != nil {
				return err
			}
			if _, err := d.take(int(size)); err != nil {
				return err
			}
			continue
		}
		for range n {
			if s.kind == "map" {
				if _, err := d.counted(); err != nil {
					return err
				}
			}
			if _, err := d.value(s.items); err != nil {
				return err
			}
		}
	}
}

func (d *decoder) long() (int64, error) {
	v, n := binary.Varint(d.rest) // the same zigzag as Avro's
	if n <= 0 {
		return 0, errWire
	}
	d.rest = d.rest[n:]
	return v, nil
}

func (d *decoder) counted() ([]byte, error) {
	n, err := d.long()
	if err != nil {
		return nil, err
	}
	return d.take(int(n))
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.rest) {
		return nil, errWire
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b, nil
}
