package market

import "slices"

// Refusal is what the lake does with the row of a trade: it is told so by rules
// that it gets for the run.
type Refusal int

// The refusals.
const (
	Taken Refusal = iota
	// Named rows are refused by a rule of which the server says which row broke it.
	Named
	// Unnamed rows are refused by one of which it does not.
	Unnamed
)

const (
	// sizeRefused is the least size of a trade whose row is refused; those that are
	// taken are far below.
	sizeRefused = 1000
	// firstRefused is the first page with a trade whose row is refused: what comes
	// before may be lost in Kafka, and a row that is refused is nowhere else.
	firstRefused = 8
	// unnamedEvery: every so manieth page from the first on has one that nobody
	// names. Each has to be searched for, which takes a dozen INSERTs.
	unnamedEvery = 1024
)

// Rules are the statements that make the lake refuse what the world says it does.
func Rules() []string {
	return []string{
		"ALTER TABLE prices ADD CONSTRAINT chaos_named CHECK ifNull(size, 0) < 1000 OR ifNull(size, 0) >= 2000",
		// Where a rule says nothing the row is refused too, and not named.
		"ALTER TABLE prices ADD CONSTRAINT chaos_unnamed CHECK if(ifNull(size, 0) < 2000, 1, NULL)",
	}
}

// RefusedSize says whether the lake refuses the row of a trade of this size.
func RefusedSize(size string) bool {
	whole := 0
	for whole < len(size) && size[whole] != '.' {
		whole++
	}
	return whole >= len("1000")
}

// refusal says what becomes of the row of a trade.
func (w World) refusal(t Trade) Refusal {
	if w.Refuse == 0 || t.Page < firstRefused || t.Page%w.Refuse != 0 || t.Index != w.refusedIndex(t.Call, t.Page) {
		return Taken
	}
	return w.refusalOf(t.Page)
}

// refusalOf is what becomes of the refused trade of a page.
func (w World) refusalOf(page int) Refusal {
	if page%unnamedEvery == firstRefused {
		return Unnamed
	}
	return Named
}

func (w World) refusedIndex(call, page int) int {
	return int(mix(w.Seed, uint64(call), uint64(page), 23) % uint64(w.Page))
}

// Refuse has so many answers restate a trade whose row the lake refuses, as soon as
// there is one that is recorded.
func (f *Feed) Refuse(answers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = answers
}

// refused restates a page for a trade whose row the lake refuses. The caller holds
// the lock.
func (f *Feed) refused(call int, c *callFeed, parts []Part) []Part {
	w := f.world
	if f.refuse == 0 || w.Refuse == 0 {
		return parts
	}
	for page := range c.latest {
		if page < firstRefused || page%w.Refuse != 0 || c.latest[page] >= maxVersion || c.waits(page) || speaksOf(parts, page) {
			continue
		}
		f.refuse--
		c.latest[page]++
		return append(parts, Part{Why: Restate, Page: page, Version: c.latest[page], Stride: restateStride, Phase: w.refusedIndex(call, page) % restateStride})
	}
	return parts
}

func speaksOf(parts []Part, page int) bool {
	return slices.ContainsFunc(parts, func(p Part) bool { return p.Page == page })
}

// waits says whether a version of a page was said and not seen to be recorded.
func (c *callFeed) waits(page int) bool {
	for v := range c.latest[page] + 1 {
		if _, waits := c.waiting[version{page, v}]; waits {
			return true
		}
	}
	return false
}
