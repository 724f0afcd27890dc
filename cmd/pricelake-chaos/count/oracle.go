package count

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

// Topics reads whole topics.
type Topics interface {
	// Read calls each for every committed record, each partition in its order.
	Read(ctx context.Context, topic string, each func(*kgo.Record) error) error
}

// Decoder reads a record by the schema it was written with.
type Decoder interface {
	Decode(ctx context.Context, wire []byte) (Fields, error)
}

// Lake answers SQL.
type Lake interface {
	Query(ctx context.Context, statement string, each func([]string) error) error
}

// Oracle counts.
type Oracle struct {
	Ledger  *market.Ledger
	Topics  Topics
	Decoder Decoder
	Lake    Lake
	// Step is told what is being counted. May be nil.
	Step func(text string)
}

// Count checks O1, O2, O3, O4, O6 and O9 and adds what it finds to the report.
func (o *Oracle) Count(ctx context.Context, r *Report) error {
	c := &counting{Oracle: o, report: r, model: newModel(o.Ledger.World), polls: map[string]*poll{}, seen: map[recorded]int{}}
	for _, part := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"the answers in " + TopicResponses, c.responses},
		{"the polls", c.pollTopics},
		{"the trades in " + topicObserved, c.observed},
		{"the trades in " + topicPrices, c.prices},
		{"the rows of the lake", c.table},
		{"what was set aside", c.aside},
		{"the other tables", c.otherTables},
	} {
		if o.Step != nil {
			o.Step("counting " + part.what)
		}
		if err := part.do(ctx); err != nil {
			return fmt.Errorf("counting %s: %w", part.what, err)
		}
	}
	return nil
}

// counting is one run of the oracle.
type counting struct {
	*Oracle
	report *Report
	model  *model

	polls map[string]*poll
	seen  map[recorded]int // answers in responses.v1

	inTopic  map[string]uint64 // records by topic
	lineage  map[lineageKey]*tally
	refused  map[origin]uint64 // hashes of records whose rows the lake refuses
	rejected map[string]uint64 // expected rejects by response
}

// recorded is an answer by its name.
type recorded struct{ call, number int }

// origin is where a record of prices.v1 was.
type origin struct {
	partition int32
	offset    int64
}

type lineageKey struct {
	topic     string
	partition int32
}

func (c *counting) counted(topic string) {
	if c.inTopic == nil {
		c.inTopic = map[string]uint64{}
	}
	c.inTopic[topic]++
}

// responses checks that what is recorded is what the API said, and that all it
// said is recorded; and it feeds the model.
func (c *counting) responses(ctx context.Context) error {
	var foreign Findings
	c.rejected = map[string]uint64{}
	err := c.readResponses(ctx, func(rec *kgo.Record, f Fields) {
		c.counted(TopicResponses)
		id := hex.EncodeToString(f.Bytes("response_id"))
		c.pollOf(f).answered(id, f.Int("status"))
		if f.Int("status") != 200 {
			return
		}
		a, problem := c.said(f)
		if problem != "" {
			foreign.Addf("%s[%d] at %d: %s", TopicResponses, rec.Partition, rec.Offset, problem)
			return
		}
		c.seen[recorded{a.Call, a.Number}]++
		c.rejected[id] += c.model.answer(a)
	})
	if err != nil {
		return err
	}
	c.report.Answers = len(c.seen)
	c.report.Add("O3", "recorded answers are the API's, byte for byte", &foreign, "%d records, %d answers with trades", c.inTopic[TopicResponses], len(c.seen))
	c.unrecorded()
	return nil
}

// said returns the answer of the API that a recorded one is, or what is wrong
// with it.
func (c *counting) said(f Fields) (a market.Answer, problem string) {
	call, number, ok := market.Identify(f.Bytes("body"))
	a, known := c.Ledger.Answer(call, number)
	switch {
	case !ok || !known:
		return a, "the API never gave this answer"
	case string(c.Ledger.World.Body(a)) != string(f.Bytes("body")):
		return a, fmt.Sprintf("answer %d of call %d has other bytes than the API sent", number, call)
	case f.Text("call_id") != market.CallID(call):
		return a, fmt.Sprintf("answer %d of call %d is recorded as one of %s", number, call, f.Text("call_id"))
	}
	return a, ""
}

func (c *counting) readResponses(ctx context.Context, each func(*kgo.Record, Fields)) error {
	return c.Topics.Read(ctx, TopicResponses, func(rec *kgo.Record) error {
		f, err := c.Decoder.Decode(ctx, rec.Value)
		if err == nil {
			each(rec, f)
		}
		return err
	})
}

// unrecorded finds trades that the API sent in full and that no recorded answer
// has.
func (c *counting) unrecorded() {
	type said struct{ call, page, version int }
	have := map[said]bool{}
	for name := range c.seen {
		a, _ := c.Ledger.Answer(name.call, name.number)
		for _, p := range a.Parts {
			have[said{name.call, p.Page, p.Version}] = true
		}
	}
	var found Findings
	sent, trades := map[said]bool{}, 0
	for call, answers := range c.Ledger.Calls {
		for _, a := range answers {
			for _, p := range a.Parts {
				key := said{call, p.Page, p.Version}
				if !a.Sent || sent[key] {
					continue
				}
				sent[key] = true
				n := 0
				c.Ledger.World.PartItems(call, p, func(market.Item) { n++ })
				trades += n
				if !have[key] {
					c.report.Lost += n
					found.Addf("page %d of call %d, version %d: sent in full, in no recorded answer", p.Page, call, p.Version)
				}
			}
		}
	}
	c.report.Add("O1", "every trade the API sent in full is in a recorded answer", &found, "%d statements of trades in %d parts of answers", trades, len(sent))
}

// observed compares the normalizer's output with the model.
func (c *counting) observed(ctx context.Context) error {
	have, err := c.readPrices(ctx, topicObserved, nil)
	if err != nil {
		return err
	}
	c.compareTopic("O4", topicObserved+" has every trade of the recorded answers once, in order", c.model.observed, have)
	return nil
}

// prices compares the deduplicator's output with the model.
func (c *counting) prices(ctx context.Context) error {
	c.lineage, c.refused = map[lineageKey]*tally{}, map[origin]uint64{}
	var buf []byte
	have, err := c.readPrices(ctx, topicPrices, func(rec *kgo.Record, f Fields, r row) {
		if market.RefusedSize(r.size) {
			c.refused[origin{rec.Partition, rec.Offset}] = xxhash.Sum64(rec.Value)
			return
		}
		key := lineageKey{topicPrices, rec.Partition}
		t := c.lineage[key]
		if t == nil {
			t = &tally{}
			c.lineage[key] = t
		}
		buf = strconv.AppendInt(buf[:0], rec.Offset, 10)
		buf = append(append(buf, '|'), uuidText(f.Bytes("event_id"))...)
		buf = append(append(buf, '|'), r.trade...)
		buf = strconv.AppendInt(append(buf, '|'), r.revision, 10)
		t.rows++
		t.sum += xxhash.Sum64(buf)
	})
	if err != nil {
		return err
	}
	c.compareTopic("O4", topicPrices+" has every revision once, in order, and no repeat", c.model.prices, have)
	return nil
}

// uuidText is how ClickHouse writes a UUID.
func uuidText(b []byte) string {
	h := hex.EncodeToString(b)
	if len(h) != 32 {
		return h
	}
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (c *counting) readPrices(ctx context.Context, topic string, each func(*kgo.Record, Fields, row)) (tallies, error) {
	have := tallies{}
	var buf []byte
	err := c.Topics.Read(ctx, topic, func(rec *kgo.Record) error {
		c.counted(topic)
		f, err := c.Decoder.Decode(ctx, rec.Value)
		if err != nil {
			return err
		}
		r := row{instrument: f.Text("instrument"), trade: f.Text("trade_id"), revision: f.Int("revision"),
			price: f.Decimal("price"), size: f.Decimal("size"), micros: f.Int("event_time")}
		buf = have.of(r.instrument).add(r, buf)
		if each != nil {
			each(rec, f, r)
		}
		return nil
	})
	return have, err
}

// compareTopic compares per instrument, in order.
func (c *counting) compareTopic(invariant, name string, want, have tallies) {
	var found Findings
	for instrument := range bothKeys(want, have) {
		w, h := want.of(instrument), have.of(instrument)
		switch {
		case w.rows != h.rows:
			found.Addf("%s: %d records, there have to be %d", instrument, h.rows, w.rows)
		case w.sum != h.sum:
			found.Addf("%s: %d records as there have to be, with other values", instrument, h.rows)
		case w.chain != h.chain:
			found.Addf("%s: the right %d records in another order", instrument, h.rows)
		}
	}
	all := have.total()
	c.report.Add(invariant, name, &found, "%d records of %d, %d instruments, sum of hashes %016x", all.rows, want.total().rows, len(have), all.sum)
}

func bothKeys(a, b tallies) map[string]bool {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}
