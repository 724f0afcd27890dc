package avro

import (
	"errors"
	"fmt"

	twmb "github.com/twmb/avro"
)

// shape is a schema as a tree that can be walked beside a body or a value. A
// name that is used twice is one node.
type shape struct {
	kind     string // null, boolean, int, long, float, double, string, bytes, fixed, enum, array, map, union, record
	name     string // full name of a fixed, an enum or a record
	logical  string
	size     int      // fixed
	scale    int      // decimal
	digits   int      // decimal: its precision
	symbols  []string // enum
	other    string   // enum: the symbol for those it does not have, if any
	fields   []string // names of a record's fields
	defaults []any    // of a record's fields, as the library gives them; noDefault: none
	children []*shape // of a record's fields, a union's branches, an array's or a map's elements
}

type noDefault struct{}

func newShape(text string) (*shape, error) {
	parsed, err := twmb.Parse(text)
	if err != nil {
		return nil, err
	}
	return growShape(parsed.Root(), "", make(map[string]*shape)), nil
}

// growShape builds the tree of n, which stands inside the namespace.
func growShape(n *twmb.SchemaNode, namespace string, named map[string]*shape) *shape {
	name := n.Name
	if name != "" {
		if namespace = n.Namespace; namespace != "" {
			name = namespace + "." + name
		}
	} else if known := named[n.Type]; known != nil {
		return known
	} else if known := named[namespace+"."+n.Type]; known != nil {
		return known
	}
	s := &shape{kind: n.Type, name: name, logical: n.LogicalType, size: n.Size, scale: n.Scale, digits: n.Precision, symbols: n.Symbols, other: n.EnumDefault}
	if name != "" {
		named[name] = s // before the children, who may refer to it
	}
	for i := range n.Fields {
		s.fields = append(s.fields, n.Fields[i].Name)
		if n.Fields[i].HasDefault {
			s.defaults = append(s.defaults, n.Fields[i].Default)
		} else {
			s.defaults = append(s.defaults, noDefault{})
		}
		s.children = append(s.children, growShape(&n.Fields[i].Type, namespace, named))
	}
	for i := range n.Branches {
		s.children = append(s.children, growShape(&n.Branches[i], namespace, named))
	}
	for _, element := range []*twmb.SchemaNode{n.Items, n.Values} {
		if element != nil {
			s.children = append(s.children, growShape(element, namespace, named))
		}
	}
	if n.Type == "error" {
		s.kind = "record"
	}
	return s
}

const (
	maxDepth   = 64  // how deep values of a recursive schema nest
	maxDecimal = 256 // bytes of an unscaled decimal, whose text takes time to make
)

var (
	errDepth   = errors.New("it nests too deep")
	errDecimal = errors.New("a decimal has too many digits")
	errBudget  = errors.New("it would take too much memory")
)

// genericBudget is what a body of n bytes may cost as values of a generic
// decoder: maps of boxed values, many times the bytes of a record.
func genericBudget(n int) int { return 64*n + 1<<20 }

// check says whether body is exactly one value of s that costs, as Go values of
// a generic decoder, at most budget bytes. What comes after may trust the
// counts and lengths in body.
func (s *shape) check(body []byte, budget int) error {
	w := walk{coder: coder{data: body, reading: true, counting: true}, budget: budget}
	w.value(s, 0)
	if w.err == nil && w.at != len(body) {
		return fmt.Errorf("%d bytes follow it", len(body)-w.at)
	}
	return w.err
}

type walk struct {
	coder
	budget int
}

// The cost of values in a generic decoder, measured with goavro: an element of
// a map or slice, a map with its buckets, a boxed number.
const (
	costElement = 48
	costMap     = 320
	costBox     = 16
	costDecimal = 320
)

func (w *walk) spend(n int) {
	if w.budget -= n; w.budget < 0 {
		w.fail(errBudget)
	}
}

func (w *walk) value(s *shape, depth int) {
	if depth > maxDepth {
		w.fail(errDepth)
	}
	if w.err != nil {
		return
	}
	if s.logical == "decimal" {
		w.spend(costDecimal + s.scale)
	}
	switch s.kind {
	case "null":
	case "boolean":
		var b bool
		w.boolean(&b)
	case "int", "long", "enum":
		w.number(s)
	case "float":
		w.take(4)
	case "double":
		w.take(8)
		w.spend(costBox)
	case "fixed":
		w.spend(costBox + len(w.take(int64(s.size))))
	case "string", "bytes":
		length := len(w.take(w.readLong()))
		w.spend(2*costBox + length)
		if s.logical == "decimal" && length > maxDecimal {
			w.fail(errDecimal)
		}
	default:
		w.children(s, depth+1)
	}
}

func (w *walk) number(s *shape) {
	w.spend(costBox)
	var n int64
	if s.kind == "long" {
		n = w.readLong()
	} else {
		n = int64(w.readInt())
	}
	if s.kind == "enum" && (n < 0 || n >= int64(len(s.symbols))) {
		w.fail(errNotEnum)
	}
}

func (w *walk) children(s *shape, depth int) {
	switch s.kind {
	case "record":
		w.spend(costMap + costElement*len(s.children))
		for _, field := range s.children {
			w.value(field, depth)
		}
	case "union":
		branch := w.readLong()
		if branch < 0 || branch >= int64(len(s.children)) {
			w.fail(errNotUnion)
			return
		}
		if s.children[branch].kind != "null" {
			w.spend(costMap)
		}
		w.value(s.children[branch], depth)
	case "array":
		w.spend(costElement)
		w.blocks(func() {
			w.spend(costElement)
			w.value(s.children[0], depth)
		})
	case "map":
		w.spend(costMap)
		w.blocks(func() {
			w.spend(2*costElement + len(w.take(w.readLong())))
			w.value(s.children[0], depth)
		})
	default:
		w.fail(fmt.Errorf("its schema has the unknown type %q", s.kind))
	}
}
