package count

import (
	"context"
	"encoding/hex"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

// aside checks that what did not become a price is where it belongs: bad numbers
// in prices.rejected.v1, polls that failed for good in deadletters.v1, and
// nothing else in either.
func (c *counting) aside(ctx context.Context) error {
	rejected := map[string]uint64{}
	var reasons Findings
	err := c.Topics.Read(ctx, topicRejected, func(rec *kgo.Record) error {
		c.counted(topicRejected)
		f, err := c.Decoder.Decode(ctx, rec.Value)
		if err != nil {
			return err
		}
		if f.Text("provider") == market.Provider {
			rejected[hex.EncodeToString(f.Bytes("response_id"))]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, want := range c.rejected {
		if rejected[id] != want {
			reasons.Addf("answer %s: %d rejected trades, there have to be %d", id, rejected[id], want)
		}
	}
	for id, n := range rejected {
		if _, known := c.rejected[id]; !known {
			reasons.Addf("answer %s: %d rejected trades of an answer that is not recorded", id, n)
		}
	}
	c.report.Add("O9", "every bad trade is rejected with a reason, and no other", &reasons, "%d rejected, %d have to be", c.inTopic[topicRejected], c.model.rejects)
	return c.deadLetters(ctx)
}

func (c *counting) deadLetters(ctx context.Context) error {
	var found Findings
	letters, buried := map[string]int{}, newBurials()
	err := c.Topics.Read(ctx, topicDeadLetters, func(rec *kgo.Record) error {
		c.counted(topicDeadLetters)
		f, err := c.Decoder.Decode(ctx, rec.Value)
		if err != nil {
			return err
		}
		if f.Text("role") == "lake" && f.Text("origin_topic") == topicPrices {
			buried.letter(f)
			return nil
		}
		if f.Text("role") != "poller" {
			found.Addf("%s[%d] at %d: a dead letter of the %s: %s", topicDeadLetters, rec.Partition, rec.Offset, f.Text("role"), f.Text("error"))
			return nil
		}
		letters[hex.EncodeToString(f.Bytes("correlation_id"))]++
		return nil
	})
	if err != nil {
		return err
	}
	failed := 0
	for _, p := range c.polls {
		if p.finished > 0 && p.outcome == outcomeFailed {
			failed++
		}
	}
	if len(letters) != failed {
		found.Addf("%d polls have a dead letter, %d polls failed", len(letters), failed)
	}
	var twice Findings
	for correlation, n := range letters {
		if n > 1 {
			twice.Addf("the poll with the correlation id %s has %d dead letters", correlation, n)
		}
	}
	buried.compare(c)
	c.report.Add("O6", "no poll has two dead letters", &twice, "%d dead letters", c.inTopic[topicDeadLetters])
	c.report.Add("O9", "every poll that failed is one dead letter, and nothing else is", &found, "%d dead letters, %d failed polls", len(letters), failed)
	return nil
}

// otherTables checks that each of the other tables holds each record of its
// topic once.
func (c *counting) otherTables(ctx context.Context) error {
	var found Findings
	total := uint64(0)
	for table, topic := range map[string]string{"polls": topicPolls, "responses": TopicResponses, "prices_rejected": topicRejected, "dead_letters": topicDeadLetters} {
		var n []uint64
		err := c.Lake.Query(ctx, "SELECT count(), uniqExact(_topic_id, _partition, _offset) FROM "+table, func(col []string) (err error) { n, err = numbers(col); return err })
		if err != nil {
			return err
		}
		want := c.inTopic[topic]
		total += n[0]
		if n[0] != n[1] {
			found.Addf("%s: %d rows of %d records", table, n[0], n[1])
		}
		if n[1] != want {
			found.Addf("%s: rows of %d records, %s has %d", table, n[1], topic, want)
			if n[1] < want {
				c.report.Lost += int(want - n[1])
			}
		}
		if n[0] > n[1] {
			c.report.Doubled += int(n[0] - n[1])
		}
	}
	c.report.Add("O1", "every other record is one row", &found, "%d rows of polls, responses, rejected prices and dead letters", total)
	return nil
}
