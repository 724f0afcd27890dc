package app

import (
	"context"
	"fmt"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
)

// endsWithin is how long after its timeout a transaction has been ended at the
// latest, by brokers that look for those every ten seconds, and by roles.
const endsWithin = 30 * time.Second

// transactions looks for those that hang: nobody has written in them for longer
// than they may be open.
func (d *doctor) transactions(ctx context.Context, q question, admin *kafka.Admin) error {
	open, err := admin.Undecided(ctx, TopicNames()...)
	if err != nil {
		return err
	}
	timeout := d.app.settings.Config.Kafka.TransactionTimeout
	hanging := 0
	for _, t := range open {
		silent := d.options.Now().Sub(t.Written)
		if silent < timeout+endsWithin {
			continue
		}
		hanging++
		q.fail(fmt.Sprintf("%s[%d]", t.Topic, t.Partition),
			"start the role that writes the topic and read its log: it ends the transaction, or says why not; docs/operations.md, \"Restarting brokers\", says what then",
			"a transaction of producer %d has been open since offset %d, and nothing written in it for %s: nobody reads behind it", t.ProducerID, t.Offset, silent.Round(time.Second))
	}
	if hanging == 0 {
		q.ok("", "no transaction hangs")
	}
	return nil
}
