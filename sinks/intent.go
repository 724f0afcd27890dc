package sinks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// Intent is what is committed beside the first offset of a range before anything
// of the range is written: whoever comes next knows from it which records were
// to be written under which name, and what is known of them. Range, count and
// hash never change; what has been found out about its records is added.
type Intent struct {
	// TopicID is the topic the range was read from, Epoch the filling of the
	// sink it is written into.
	TopicID stream.TopicID
	Epoch   uint32
	// Attempt grows when the names of the one before turned out to be used up
	// by writes that left nothing.
	Attempt int32
	// First and Last are the first and the last record, Records how many there
	// are and Hash what Hash makes of them. Rows of them are to be rows, as far
	// as is known: the others are refused.
	First, Last   int64
	Records, Rows int
	Hash          uint64
	// Holes are the offsets between First and Last that hold no record. It is
	// left out when it would be long.
	Holes Offsets
	// Refused are records that will never be rows and whose dead letters are
	// out: the lowest of them, as many as there is room for.
	Refused Offsets
	// Bad is the offset below or at which the store is known to refuse a record
	// of those that are neither there nor refused; -1: none is known.
	Bad int64
	// From and To are the block in hand of the search for it, and its name: who
	// goes on with the search finishes that block first, under that name. To is
	// -1 when the whole range is in hand.
	From, To int64
	// Transform is the version of what makes rows of records, Writer who wrote
	// the intent: for people.
	Transform uint32
	Writer    string
}

// Room in the metadata of a commit, of 1 KiB.
const (
	intentVersion  = "pl1"
	maxHolesText   = 160
	maxRefusedText = 440
	maxWriter      = 64
)

// Hash is the hash of records that an intent holds: of the offset, the key and
// the value of each.
func Hash(rs []stream.Record) uint64 {
	d := xxhash.New()
	hashInto(d, rs)
	return d.Sum64()
}

// hashInto adds records to a hash: one of parts is that of the whole. The hash is
// given many bytes at a time, which costs it half of what short pieces do.
func hashInto(d *xxhash.Digest, rs []stream.Record) {
	const headBytes = 24
	var many [2 << 10]byte
	n := 0
	for i := range rs {
		r := &rs[i]
		if n+headBytes+len(r.Key)+len(r.Value) > len(many) {
			_, _ = d.Write(many[:n]) // writing to a digest never fails
			n = 0
		}
		binary.LittleEndian.PutUint64(many[n:], uint64(r.Offset))
		binary.LittleEndian.PutUint64(many[n+8:], length(r.Key))
		binary.LittleEndian.PutUint64(many[n+16:], length(r.Value))
		n += headBytes
		if n+len(r.Key)+len(r.Value) > len(many) {
			_, _ = d.Write(many[:n])
			_, _ = d.Write(r.Key)
			_, _ = d.Write(r.Value)
			n = 0
			continue
		}
		n += copy(many[n:], r.Key)
		n += copy(many[n:], r.Value)
	}
	_, _ = d.Write(many[:n])
}

// length tells an empty text from none: null removes a key.
func length(b []byte) uint64 {
	if b == nil {
		return 0
	}
	return uint64(len(b)) + 1
}

// holes returns the offsets between those of records that hold none.
func holes(offsets []int64) Offsets {
	var o Offsets
	for i := 1; i < len(offsets); i++ {
		o.Add(offsets[i-1]+1, offsets[i]-1)
	}
	return o
}

// String returns the intent as it is committed: at most 1 KiB, one line, and
// readable by people.
func (in *Intent) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s topic=%s epoch=%d attempt=%d range=%d-%d records=%d rows=%d hash=%016x transform=%d",
		intentVersion, schemas.ID(in.TopicID), in.Epoch, in.Attempt, in.First, in.Last, in.Records, in.Rows, in.Hash, in.Transform)
	if in.Bad >= 0 {
		fmt.Fprintf(&b, " bad=%d", in.Bad)
	}
	if in.To >= 0 {
		fmt.Fprintf(&b, " try=%d-%d", in.From, in.To)
	}
	if text, whole := runsText(&in.Holes, in.First, maxHolesText); whole && text != "" {
		b.WriteString(" holes=" + text)
	}
	if text, _ := runsText(&in.Refused, in.First, maxRefusedText); text != "" {
		b.WriteString(" refused=" + text)
	}
	b.WriteString(" writer=" + writerText(in.Writer))
	return b.String()
}

// writerText makes one short word of a name.
func writerText(name string) string {
	word := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, name)
	return word[:min(len(word), maxWriter)]
}

// runsText writes offsets relative to base, as in 0,5-7; whole says that all of
// them had room.
func runsText(o *Offsets, base int64, room int) (text string, whole bool) {
	for first, last := range o.Runs() {
		one := strconv.FormatInt(first-base, 10)
		if last > first {
			one += "-" + strconv.FormatInt(last-base, 10)
		}
		if text != "" {
			one = "," + one
		}
		if len(text)+len(one) > room {
			return text, false
		}
		text += one
	}
	return text, true
}

var errIntent = errors.New("not an intent of this version")

// ParseIntent reads what String wrote. Its error means that the text is not an
// intent of this version, or a damaged one: nothing can be learnt from it.
func ParseIntent(text string) (Intent, error) {
	words := strings.Split(text, " ")
	if words[0] != intentVersion {
		return Intent{}, fmt.Errorf("%q: %w", text[:min(len(text), 64)], errIntent)
	}
	fields := map[string]string{}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if _, twice := fields[name]; !ok || twice {
			return Intent{}, fmt.Errorf("word %q: %w", word[:min(len(word), 64)], errIntent)
		}
		fields[name] = value
	}
	p := parser{fields: fields}
	in := p.intent()
	if len(p.fields) > 0 {
		p.errs = append(p.errs, fmt.Errorf("%d unknown words", len(p.fields)))
	}
	if len(p.errs) > 0 {
		return Intent{}, fmt.Errorf("%w: %w", errIntent, errors.Join(p.errs...))
	}
	return in, nil
}

// parser reads fields and takes them out.
type parser struct {
	fields map[string]string
	errs   []error
}

func (p *parser) intent() Intent {
	var in Intent
	id, err := schemas.ParseID(p.word("topic"))
	p.check(err)
	in.TopicID = stream.TopicID(id)
	in.Epoch = uint32(p.number("epoch", 10, 32))
	in.Attempt = int32(p.number("attempt", 10, 31))
	in.First, in.Last = p.span("range")
	in.Records = int(p.number("records", 10, 31))
	in.Rows = int(p.number("rows", 10, 31))
	in.Hash = p.number("hash", 16, 64)
	in.Transform = uint32(p.number("transform", 10, 32))
	in.Bad = -1
	if _, ok := p.fields["bad"]; ok {
		in.Bad = int64(p.number("bad", 10, 63))
	}
	in.To = -1
	if _, ok := p.fields["try"]; ok {
		if in.From, in.To = p.span("try"); in.From < in.First || in.To < in.From || in.To > in.Last {
			p.check(errors.New("try: not within the range"))
		}
	}
	if in.Last < in.First || in.Records < 1 || in.Rows > in.Records || int64(in.Records-1) > in.Last-in.First || in.Bad > in.Last {
		p.check(errors.New("the range does not hold its records"))
		return in
	}
	in.Holes = p.runs("holes", in.First, in.Last)
	in.Refused = p.runs("refused", in.First, in.Last)
	if in.Refused.Count() > int64(in.Records-in.Rows) {
		p.check(errors.New("more rows and refusals than records"))
	}
	in.Writer = p.word("writer")
	if writerText(in.Writer) != in.Writer {
		p.check(errors.New("writer: not one short word"))
	}
	return in
}

func (p *parser) check(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

func (p *parser) word(name string) string {
	word, ok := p.fields[name]
	if !ok {
		p.check(fmt.Errorf("%s is missing", name))
	}
	delete(p.fields, name)
	return word
}

func (p *parser) number(name string, base, bits int) uint64 {
	n, err := strconv.ParseUint(p.word(name), base, bits)
	if err != nil {
		p.check(fmt.Errorf("%s: %w", name, err))
	}
	return n
}

func (p *parser) span(name string) (first, last int64) {
	from, to, ok := strings.Cut(p.word(name), "-")
	if !ok {
		p.check(fmt.Errorf("%s: want first-last", name))
	}
	return p.offset(from), p.offset(to)
}

func (p *parser) offset(text string) int64 {
	n, err := strconv.ParseUint(text, 10, 62)
	p.check(err)
	return int64(n)
}

// runs reads what runsText wrote; offsets outside of the range are refused.
func (p *parser) runs(name string, first, last int64) Offsets {
	var o Offsets
	text, ok := p.fields[name]
	if !ok {
		return o
	}
	delete(p.fields, name)
	next := first
	for one := range strings.SplitSeq(text, ",") {
		from, to, more := strings.Cut(one, "-")
		if !more {
			to = from
		}
		a, b := first+p.offset(from), first+p.offset(to)
		if a < next || b < a || b > last {
			p.check(fmt.Errorf("%s: %q is not in the range or not in order", name, one))
			return o
		}
		o.Add(a, b)
		next = b + 1
	}
	return o
}
