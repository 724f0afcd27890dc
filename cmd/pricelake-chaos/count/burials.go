package count

import (
	"github.com/cespare/xxhash/v2"
)

// burials are the records of prices.v1 that the lake gave up.
type burials struct {
	letters map[origin]uint64 // hash of the original's bytes
	ids     map[origin]string
	again   int
	found   Findings
}

func newBurials() *burials { return &burials{letters: map[origin]uint64{}, ids: map[origin]string{}} }

// letter notes a dead letter of the lake. One that comes again under its id, after
// a kill between its publication and the note of it, is the same letter.
func (b *burials) letter(f Fields) {
	of := origin{int32(f.Int("origin_partition")), f.Int("origin_offset")}
	id := string(f.Bytes("dead_letter_id"))
	if before, known := b.ids[of]; known {
		if b.again++; before != id {
			b.found.Addf("%s[%d] at %d has dead letters with two ids", topicPrices, of.partition, of.offset)
		}
		return
	}
	b.ids[of], b.letters[of] = id, xxhash.Sum64(f.Bytes("value"))
	if f.Text("error") == "" {
		b.found.Addf("the dead letter of %s[%d] at %d gives no reason", topicPrices, of.partition, of.offset)
	}
}

// compare checks that each record whose row the lake refuses has one dead letter
// with its bytes, and that no other has.
func (b *burials) compare(c *counting) {
	for of, bytes := range c.refused {
		letter, known := b.letters[of]
		switch {
		case !known:
			c.report.Lost++
			b.found.Addf("%s[%d] at %d: no row is to be made of it, and it has no dead letter", topicPrices, of.partition, of.offset)
		case letter != bytes:
			b.found.Addf("the dead letter of %s[%d] at %d has other bytes than the record", topicPrices, of.partition, of.offset)
		}
	}
	for of := range b.letters {
		if _, known := c.refused[of]; !known {
			b.found.Addf("%s[%d] at %d has a dead letter of the lake, and its row is one that is taken", topicPrices, of.partition, of.offset)
		}
	}
	c.report.Add("O9", "every row that the lake refuses is one dead letter with its bytes, and no other is", &b.found,
		"%d dead letters, %d rows are refused; %d letters came again", len(b.letters), len(c.refused), b.again)
}
