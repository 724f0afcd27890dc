package kafka_test

import (
	"context"
	"slices"
	"testing"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/servers"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestHangingOffsets: of a transaction that was committed only the offsets hang.
// Its group could not read on, ever; an account that may do what `pricelake acl`
// prints, and cannot look into the offsets' topic, ends it all the same.
func TestHangingOffsets(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker: not with -short")
	}
	t.Parallel()
	k := servers.StartKafka(t, servers.KafkaConfig{
		Properties: map[string]string{
			"transaction.partition.verification.enable":          "false", // see TestHanging
			"authorizer.class.name":                              "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users":                                        "User:ANONYMOUS", // who comes by PLAINTEXT
			"sasl.enabled.mechanisms":                            "SCRAM-SHA-512",
			"listener.name.login.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		},
		Listeners: map[string]string{"LOGIN": "SASL_PLAINTEXT"},
		Format:    []string{"--add-scram", "SCRAM-SHA-512=[name=role,password=s3cret]"},
	})
	c := &cluster{brokers: []string{k.Addr()}}
	id, group, in, out := c.name(t), c.name(t), c.topic(t, 1), c.topic(t, 1)
	c.allow(t, "User:role", id, group, in, out)
	c.hangOffsets(t, id+"-0", group, in, out)

	cfg := c.config(t)
	cfg.Brokers = []string{k.ListenerAddr("LOGIN")}
	cfg.SASL = kafka.SASL{Mechanism: config.SASLScram512, User: "role", Secret: secret("s3cret")}
	c.passOn(t, cfg, group, in, id, "", out)
	eventually(t, "what hangs to be ended", func() bool { return slices.Equal(c.all(t, out)[0], []string{"before", "next"}) })
}

// allow gives an account the rights of a processor.
func (c *cluster) allow(t *testing.T, principal, id, group, in, out string) {
	t.Helper()
	admin := kadm.NewClient(c.client(t))
	for _, b := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(in).Operations(kadm.OpRead),
		kadm.NewACLs().Topics(out).Operations(kadm.OpRead, kadm.OpWrite),
		kadm.NewACLs().Groups(group).Operations(kadm.OpRead),
		kadm.NewACLs().TransactionalIDs(id + "-0").Operations(kadm.OpWrite),
	} {
		made, err := admin.CreateACLs(t.Context(), b.Allow(principal).ResourcePatternType(kadm.ACLPatternLiteral))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range made {
			if m.Err != nil {
				t.Fatal(m.Err)
			}
		}
	}
}

// hangOffsets commits a transaction, and leaves an offset undecided that seems to
// be of it and that its coordinator does not know of.
func (c *cluster) hangOffsets(t *testing.T, id, group, in, out string) {
	t.Helper()
	before := c.client(t, kgo.TransactionalID(id))
	if err := before.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := before.ProduceSync(t.Context(), &kgo.Record{Topic: out, Value: []byte("before")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := before.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(c.client(t))
	var last kadm.DescribedTransaction
	eventually(t, "the transaction to be complete", func() bool {
		described, err := admin.DescribeTransactions(t.Context(), id)
		last = described[id]
		return err == nil && last.State == "CompleteCommit"
	})
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.LeaderEpoch = 0, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = in, append(topic.Partitions, p)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = id, last.ProducerID, last.ProducerEpoch, group, -1
	req.Topics = append(req.Topics, topic)
	// Later versions would add the offsets to a transaction.
	old := kversion.Stable()
	old.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	client := c.client(t, kgo.MaxVersions(old))
	eventually(t, "the group's coordinator", func() bool {
		resp, err := req.RequestWith(context.WithoutCancel(t.Context()), client)
		if err != nil {
			t.Fatal(err)
		}
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		if err != nil && !kerr.IsRetriable(err) {
			t.Fatal(err)
		}
		return err == nil
	})
}
