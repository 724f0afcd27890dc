package app

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
)

// A transaction that nobody goes on with is named, one in progress is not.
func TestDoctorTransactions(t *testing.T) {
	r := newRig(t)
	r.startBroker()
	r.applyTopics()
	examine := func(later time.Duration) Diagnosis {
		now := func() time.Time { return time.Now().Add(later) }
		return r.app("").Doctor(t.Context(), DoctorOptions{Timeout: 10 * time.Second, Now: now})
	}
	finds(t, examine(time.Hour), VerdictOK, "kafka transactions", "no transaction hangs")
	client, err := kgo.NewClient(kgo.SeedBrokers(r.config.Kafka.Brokers...), kgo.TransactionalID("another"), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.TopicPrices, Value: []byte("open")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	finds(t, examine(0), VerdictOK, "kafka transactions", "no transaction hangs")
	finds(t, examine(time.Minute), VerdictFail, "kafka transactions", schemas.TopicPrices+"[0]", "open since offset 0", "→ start the role")
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	finds(t, examine(time.Hour), VerdictOK, "kafka transactions", "no transaction hangs")
}
