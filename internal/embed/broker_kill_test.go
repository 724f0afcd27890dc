//go:build !noembed && unix

package embed_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/pricelake/pricelake/internal/embed"
)

// loopEnv makes the small program of parentEnv a broker with a client that
// commits one transaction after the other.
const loopEnv = "EMBED_TEST_COMMITS"

const (
	loopTopic      = "out"
	loopGroup      = "stage"
	loopPartitions = 12
)

// commitLoop writes the same number into each partition, and as the group's
// offset, in one transaction; then the next number.
func commitLoop(dir string) int {
	if err := tryCommitLoop(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func tryCommitLoop(ctx context.Context, dir string) error {
	a, err := embed.OpenAddresses(dir)
	if err != nil {
		return err
	}
	b, err := embed.StartBroker(ctx, embed.BrokerConfig{DataDir: dir, Addresses: a, Addr: "127.0.0.1:0", Logger: quiet})
	if err != nil {
		return err
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.TransactionalID("loop"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	if _, err := kadm.NewClient(c).CreateTopic(ctx, loopPartitions, 1, nil, loopTopic); err != nil && !strings.Contains(err.Error(), kerr.TopicAlreadyExists.Message) {
		return err
	}
	start, err := strconv.Atoi(os.Getenv(loopEnv))
	if err != nil {
		return err
	}
	topics, err := kadm.NewClient(c).ListTopics(ctx, loopTopic)
	if err != nil {
		return err
	}
	for n := start; ; n++ {
		if err := commitOne(ctx, c, topics[loopTopic].ID, n); err != nil {
			return err
		}
		if n == start {
			fmt.Println("running")
		}
	}
}

func commitOne(ctx context.Context, c *kgo.Client, topicID kadm.TopicID, n int) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for p := range loopPartitions {
		records = append(records, &kgo.Record{Topic: loopTopic, Partition: int32(p), Value: []byte(strconv.Itoa(n))})
	}
	if err := c.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	id, epoch, err := c.ProducerID(ctx)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = "loop", id, epoch, loopGroup
	if resp, err := add.RequestWith(ctx, c); err != nil || resp.ErrorCode != 0 {
		return fmt.Errorf("adding offsets: %w, %d", err, resp.ErrorCode)
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.ProducerID, commit.ProducerEpoch, commit.Group, commit.Generation = "loop", id, epoch, loopGroup, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = loopTopic, topicID
	for p := range 3 {
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset = int32(p), int64(n)
		topic.Partitions = append(topic.Partitions, partition)
	}
	commit.Topics = append(commit.Topics, topic)
	resp, err := commit.RequestWith(ctx, c)
	if err != nil {
		return err
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		return fmt.Errorf("committing offsets: %w", kerr.ErrorForCode(code))
	}
	return c.EndTransaction(ctx, kgo.TryCommit)
}

// A transaction that a kill cuts off is committed in all its partitions, with
// its offsets, or in none.
func TestKilledCommitIsWholeOrNothing(t *testing.T) {
	dir := t.TempDir()
	source := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		start := round * 1_000_000
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), parentEnv+"="+dir, loopEnv+"="+strconv.Itoa(start))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		time.Sleep(time.Duration(source.IntN(40_000)) * time.Microsecond)
		killParent(cmd)
		if err != nil {
			t.Fatalf("the program said %q: %v", line, err)
		}
		last, offsets := lastCommitted(t, dir)
		for _, n := range append(slices.Clone(last), offsets...) {
			if n != last[0] {
				t.Fatalf("round %d: a torn transaction: last values %v, offsets %v", round, last, offsets)
			}
		}
	}
}

// lastCommitted is the last committed value of each partition, and the group's
// offsets.
func lastCommitted(t *testing.T, dir string) (last, offsets []int) {
	t.Helper()
	b := startBroker(t, dir, nil)
	defer b.Close()
	c := kafkaClient(t, b, kgo.ConsumeTopics(loopTopic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer c.Close()
	// What was aborted is not delivered: a mark in each partition tells its end.
	mark := fmt.Sprint("mark", rand.Uint64())
	for p := range loopPartitions {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: loopTopic, Partition: int32(p), Value: []byte(mark)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	last = make([]int, loopPartitions)
	for marks := 0; marks < loopPartitions; {
		c.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			if n, err := strconv.Atoi(string(r.Value)); err == nil {
				last[r.Partition] = n
			} else if string(r.Value) == mark {
				marks++
			}
		})
	}
	committed, err := kadm.NewClient(c).FetchOffsets(t.Context(), loopGroup)
	if err != nil {
		t.Fatal(err)
	}
	for p := range 3 {
		o, _ := committed.Lookup(loopTopic, int32(p))
		offsets = append(offsets, int(o.At))
	}
	return last, offsets
}
