package catalog

import (
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// Changes is what `catalog apply` does to a running catalog.
type Changes struct {
	Added     []string `json:"added"`
	Changed   []string `json:"changed"`
	Removed   []string `json:"removed"`
	Unchanged []string `json:"unchanged"`
}

// Empty reports whether nothing changes.
func (c Changes) Empty() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }

// Difference is what separates two catalogs, by ids.
type Difference struct {
	Instruments Changes `json:"instruments"`
	Calls       Changes `json:"calls"`
}

// Empty reports whether nothing changes.
func (d Difference) Empty() bool { return d.Instruments.Empty() && d.Calls.Empty() }

// Diff returns what has to happen to the old catalog to become the new one.
// When a record was defined does not count.
func Diff(old, next *Catalog) Difference {
	return Difference{
		Instruments: diff(old.Instruments, next.Instruments,
			func(in *schemas.InstrumentDefined) string { return in.Instrument },
			func(a, b *schemas.InstrumentDefined) bool {
				x, y := *a, *b
				x.DefinedAt, y.DefinedAt = time.Time{}, time.Time{}
				return x == y
			}),
		Calls: diff(old.Calls, next.Calls,
			func(call *schemas.CallDefined) string { return call.CallID },
			func(a, b *schemas.CallDefined) bool { return a.Version == b.Version }),
	}
}

func diff[T any](old, next []T, id func(*T) string, same func(a, b *T) bool) (c Changes) {
	before := map[string]*T{}
	for i := range old {
		before[id(&old[i])] = &old[i]
	}
	after := map[string]bool{}
	for i := range next {
		name := id(&next[i])
		after[name] = true
		switch was, ok := before[name]; {
		case !ok:
			c.Added = append(c.Added, name)
		case same(was, &next[i]):
			c.Unchanged = append(c.Unchanged, name)
		default:
			c.Changed = append(c.Changed, name)
		}
	}
	for i := range old {
		if name := id(&old[i]); !after[name] {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}
