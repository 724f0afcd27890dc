package dedupe

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// TestProcessesComeAndGo runs the deduplicator over a broker, in processes that
// join and leave while every event is sent several times, each with a disk of
// its own: a partition that moves takes its state from the log.
func TestProcessesComeAndGo(t *testing.T) {
	const partitions, events, rounds = 3, 120, 4
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond),
		kfake.SeedTopics(partitions, schemas.TopicObserved, schemas.TopicPrices, schemas.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	config := kafka.DefaultConfig()
	config.Brokers = broker.ListenAddrs()
	log, err := kafka.NewLog(config)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	producer, err := kafka.NewProducer(config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()

	first, second := newProcess(t, config, log, "first"), newProcess(t, config, log, "second")
	stop := first.start()
	for round := range rounds {
		if round == 1 {
			defer second.start()()
		}
		if round == 2 {
			stop()
		}
		if round == 3 {
			defer first.start()() // with the state it had
		}
		publish(t, producer, partitions, events, round)
		settle(t, log, partitions, events*(round+1)/rounds)
	}

	var got []string
	for p := range int32(partitions) {
		_, err := log.ReadCommitted(t.Context(), stream.TopicPartition{Topic: schemas.TopicPrices, Partition: p}, 0, func(r stream.Record) error {
			got = append(got, told(first.rig.prices([]stream.Record{r}))...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for n := range events {
		want = append(want, told([]schemas.Price{*fixing(fmt.Sprintf("EUR-%03d", n), 0, "1")})...)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("published %d prices, want %d, each once:\n%q", len(got), len(want), got)
	}
}

// process is a deduplicator with a disk of its own.
type process struct {
	rig  *rig
	log  *kafka.Log
	loop kafka.Transact
}

func newProcess(t *testing.T, config kafka.Config, log *kafka.Log, name string) *process {
	config.ClientID = name
	return &process{rig: newRig(t, 0), log: log, loop: kafka.Transact{
		Config: config, Group: "pricelake.deduplicator", Topics: []string{schemas.TopicObserved}, TransactionalID: name, MaxRecords: 20,
	}}
}

// start runs the process and returns what ends it.
func (p *process) start() (stop func()) {
	p.rig.start()
	d := p.rig.d
	d.config.Log = p.log
	loop := p.loop
	loop.Config.Registerer = prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- loop.Run(ctx, d.Open) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.rig.t.Error(err)
		}
		p.rig.stop()
	}
}

// publish sends the events of this round and of all rounds before.
func publish(t *testing.T, producer *kafka.Producer, partitions, events, round int) {
	t.Helper()
	for n := range events {
		if n%4 > round {
			continue
		}
		p := int32(n % partitions)
		r := input(t, p, fixing(fmt.Sprintf("EUR-%03d", n), 0, "1")).Records[0]
		if err := producer.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// settle waits until n prices are published.
func settle(t *testing.T, log *kafka.Log, partitions, n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := 0
		for p := range int32(partitions) {
			_, err := log.ReadCommitted(t.Context(), stream.TopicPartition{Topic: schemas.TopicPrices, Partition: p}, 0, func(stream.Record) error {
				got++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d prices after a minute, want %d", got, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestOpenWaitsForTheLastOwner: an owner that was killed has left its transaction
// open. What of it becomes visible is decided later, and the state waits for it.
func TestOpenWaitsForTheLastOwner(t *testing.T) {
	for name, commit := range map[string]kgo.TransactionEndTry{"committed": kgo.TryCommit, "aborted": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, schemas.TopicObserved, schemas.TopicPrices))
			if err != nil {
				t.Fatal(err)
			}
			defer broker.Close()
			config := kafka.DefaultConfig()
			config.Brokers = broker.ListenAddrs()
			log, err := kafka.NewLog(config)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			owner, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.TransactionalID("owner"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			defer owner.Close()
			record := func(n int) *kgo.Record {
				in := input(t, 0, fixing("EUR-USD", n, "1")).Records[0]
				return &kgo.Record{Topic: schemas.TopicPrices, Key: in.Key, Value: in.Value}
			}
			end := func(how kgo.TransactionEndTry) {
				if err := owner.EndTransaction(t.Context(), how); err != nil {
					t.Fatal(err)
				}
			}
			begin := func(n int) {
				if err := owner.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				if err := owner.ProduceSync(t.Context(), record(n)).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			begin(0)
			end(kgo.TryCommit)
			begin(1) // and is killed

			r := newRig(t, 1)
			r.start()
			defer r.stop()
			r.d.config.Log = log
			opened := make(chan stream.Stage, 1)
			go func() {
				s, err := r.d.Open(t.Context(), stream.TopicPartition{Topic: schemas.TopicObserved})
				if err != nil {
					t.Error(err)
				}
				opened <- s
			}()
			select {
			case <-opened:
				t.Fatal("the state was opened while nobody knew what the last owner had published")
			case <-time.After(500 * time.Millisecond):
			}
			end(commit)
			s := <-opened
			defer mustClose(t, s)
			out, err := s.Handle(t.Context(), input(t, 0, fixing("EUR-USD", 0, "1"), fixing("EUR-USD", 1, "1"), fixing("EUR-USD", 2, "1")))
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"EUR-USD 01-02 r0 1", "EUR-USD 01-03 r0 1"}
			if commit == kgo.TryCommit {
				want = want[1:]
			}
			if got := told(r.prices(out.Records)); !slices.Equal(got, want) {
				t.Errorf("published %q, want %q", got, want)
			}
		})
	}
}
