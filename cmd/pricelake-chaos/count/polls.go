package count

import (
	"context"
	"encoding/hex"

	"github.com/twmb/franz-go/pkg/kgo"
)

// poll is what became of one poll.
type poll struct {
	call      string
	requested int
	finished  int
	good      int // answers with status 200
	outcome   int64
	responses map[string]int // records by response id
}

func (p *poll) answered(id string, status int64) {
	if p.responses == nil {
		p.responses = map[string]int{}
	}
	p.responses[id]++
	if status == 200 {
		p.good++
	}
}

func (c *counting) pollOf(f Fields) *poll {
	id := hex.EncodeToString(f.Bytes("poll_id"))
	p := c.polls[id]
	if p == nil {
		p = &poll{call: f.Text("call_id")}
		c.polls[id] = p
	}
	return p
}

// Outcomes of a poll, as numbered in the enumeration of its schema: those that
// brought an answer that parses.
const (
	outcomeValued  = 1
	outcomePartial = 2
	outcomeAbsent  = 3
	outcomeFailed  = 6
)

// pollTopics checks that each poll that was asked for came to one end.
func (c *counting) pollTopics(ctx context.Context) error {
	read := func(topic string, each func(*poll, Fields)) error {
		return c.Topics.Read(ctx, topic, func(rec *kgo.Record) error {
			c.counted(topic)
			f, err := c.Decoder.Decode(ctx, rec.Value)
			if err == nil {
				each(c.pollOf(f), f)
			}
			return err
		})
	}
	if err := read(topicRequests, func(p *poll, _ Fields) { p.requested++ }); err != nil {
		return err
	}
	err := read(topicPolls, func(p *poll, f Fields) {
		p.finished++
		p.outcome = f.Int("outcome")
	})
	if err != nil {
		return err
	}
	var twice, end, answers Findings
	for id, p := range c.polls {
		if p.requested != 1 {
			twice.Addf("poll %s of %s was asked for %d times", id, p.call, p.requested)
		}
		if p.finished != 1 {
			end.Addf("poll %s of %s has %d outcomes", id, p.call, p.finished)
		}
		for response, n := range p.responses {
			if n > 1 {
				answers.Addf("answer %s of poll %s of %s is recorded %d times", response, id, p.call, n)
			}
		}
		brought := p.outcome == outcomeValued || p.outcome == outcomePartial || p.outcome == outcomeAbsent
		if p.finished > 0 && brought && p.good == 0 {
			answers.Addf("poll %s of %s brought prices, and no answer of it is recorded", id, p.call)
		}
	}
	c.report.Add("O6", "every slot is asked for once", &twice, "%d requests", c.inTopic[topicRequests])
	c.report.Add("O6", "every poll comes to one end", &end, "%d polls, %d outcomes", len(c.polls), c.inTopic[topicPolls])
	c.report.Add("O6", "every answer is recorded once", &answers, "%d records", c.inTopic[TopicResponses])
	return nil
}
