package count

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestImportsNothingOfTheProduct: the oracle's decoders and clients are its own.
func TestImportsNothingOfTheProduct(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			allowed := !strings.Contains(strings.Split(path, "/")[0], ".") || path == "github.com/cespare/xxhash/v2" ||
				strings.HasPrefix(path, "github.com/twmb/franz-go/pkg/k") ||
				path == "github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
			if !allowed {
				t.Errorf("%s imports %s", e.Name(), path)
			}
		}
	}
}

func TestDecimalText(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "12.5", "0.000000000000000001", "-0.5", "99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999", "20000.1"} {
		if got := decimalText(decimalBytes(text)); got != text {
			t.Errorf("%s is read as %s", text, got)
		}
	}
}

const testSchema = `{"type":"record","name":"R","namespace":"x","fields":[
 {"name":"id","type":{"type":"fixed","name":"Id","size":2}},
 {"name":"attempts","type":{"type":"array","items":{"type":"record","name":"A","fields":[{"name":"n","type":"int"},{"name":"id","type":["null","Id"]}]}}},
 {"name":"headers","type":{"type":"map","values":"bytes"}},
 {"name":"none","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
 {"name":"kind","type":{"type":"enum","name":"K","symbols":["a","b"]}},
 {"name":"yes","type":"boolean"},
 {"name":"body","type":"bytes"},
 {"name":"text","type":"string"}]}`

// testRecord is a record of testSchema.
func testRecord() []byte {
	return append([]byte{0, 0, 0, 0, 7}, []byte{
		0xAA, 0xBB, // id
		4, 2, 0, 6, 2, 0xCC, 0xDD, 0, // attempts: two, then the end
		1, 8, 2, 'k', 2, 'v', 0, // headers: one, with its size
		2, 8, // none: 4
		2,           // kind
		1,           // yes
		4, 'h', 'i', // body
		2, 'x', // text
	}...)
}

func TestRegistryDecodes(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/schemas/ids/7" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"schema":` + strconv.Quote(testSchema) + `}`))
	}))
	defer srv.Close()
	reg := NewRegistry(srv.URL + "/")
	reg.client = srv.Client()
	for range 2 {
		f, err := reg.Decode(t.Context(), testRecord())
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Bytes("id")) != "\xAA\xBB" || f.Int("none") != 4 || f.Int("kind") != 1 || f["yes"] != true || string(f.Bytes("body")) != "hi" || f.Text("text") != "x" {
			t.Fatalf("read %v", f)
		}
	}
	if asked != 1 {
		t.Errorf("the registry was asked %d times", asked)
	}
	bad := testRecord()
	for n := range len(bad) {
		if _, err := reg.Decode(t.Context(), bad[:n]); err == nil {
			t.Errorf("a record cut after %d bytes was read", n)
		}
	}
	if _, err := reg.Decode(t.Context(), append(bad, 0)); err == nil {
		t.Error("a record with a byte too many was read")
	}
	bad[4] = 8
	if _, err := reg.Decode(t.Context(), bad); err == nil {
		t.Error("a record of an unknown schema was read")
	}
}

func FuzzDecode(f *testing.F) {
	s, err := parseSchema([]byte(testSchema))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(testRecord()[5:])
	f.Fuzz(func(_ *testing.T, body []byte) {
		d := decoder{body}
		_, _ = d.value(s)
	})
}

// broker is a Kafka with the topics of the path.
func broker(t *testing.T) (*Kafka, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topicRequests, topicPolls, TopicResponses, topicObserved, topicPrices, topicRejected, topicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return NewKafka(cluster.ListenAddrs()...), cl
}

// transaction writes so many records into a partition of prices.v1.
func transaction(t *testing.T, cl *kgo.Client, partition int32, records int, how kgo.TransactionEndTry) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for range records {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topicPrices, Partition: partition, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cl.EndTransaction(t.Context(), how); err != nil {
		t.Fatal(err)
	}
}

func TestReadSeesCommittedRecordsOnly(t *testing.T) {
	k, cl := broker(t)
	transaction(t, cl, 0, 3, kgo.TryCommit)
	transaction(t, cl, 0, 2, kgo.TryAbort)
	transaction(t, cl, 1, 4, kgo.TryCommit)
	transaction(t, cl, 1, 1, kgo.TryAbort)
	got := map[int32]int{}
	if err := k.Read(t.Context(), topicPrices, func(r *kgo.Record) error { got[r.Partition]++; return nil }); err != nil {
		t.Fatal(err)
	}
	if got[0] != 3 || got[1] != 4 {
		t.Errorf("read %v", got)
	}
	stop := errors.New("enough")
	if err := k.Read(t.Context(), topicPrices, func(*kgo.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("reading went on: %v", err)
	}
	if err := k.Read(t.Context(), topicObserved, func(*kgo.Record) error { return stop }); err != nil {
		t.Errorf("an empty topic: %v", err)
	}
}

func TestFollowSeesWhatComes(t *testing.T) {
	k, cl := broker(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan struct{}, 10)
	done := make(chan error, 1)
	go func() { done <- k.Follow(ctx, topicPrices, func(*kgo.Record) { got <- struct{}{} }) }()
	transaction(t, cl, 0, 1, kgo.TryCommit)
	<-got
	transaction(t, cl, 1, 1, kgo.TryCommit)
	<-got
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBehindPassesOverMarkers(t *testing.T) {
	k, cl := broker(t)
	transaction(t, cl, 0, 3, kgo.TryCommit) // offsets 0 to 2, a marker at 3
	transaction(t, cl, 1, 2, kgo.TryCommit)
	commit := func(partition int32, at int64) {
		t.Helper()
		_, err := kadm.NewClient(cl).CommitOffsets(t.Context(), "pricelake.lake", kadm.OffsetsFromRecords(kgo.Record{Topic: topicPrices, Partition: partition, Offset: at - 1}))
		if err != nil {
			t.Fatal(err)
		}
	}
	commit(0, 3)
	behind, err := k.Behind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(behind) != 1 || behind[Place{"pricelake.lake", topicPrices, 1}] == 0 {
		t.Errorf("behind: %v", behind)
	}
	commit(1, 2)
	if behind, err = k.Behind(t.Context()); err != nil || len(behind) != 0 {
		t.Errorf("behind: %v, %v", behind, err)
	}
	at, err := k.Committed(t.Context())
	if err != nil || at[Place{"pricelake.lake", topicPrices, 0}] != 3 {
		t.Errorf("committed: %v, %v", at, err)
	}
}

func TestClickHouseSaysWhatIsWrong(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ClickHouse-Key") != "secret" {
			http.Error(w, "who are you", http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte("a\t1\nb\t2\n"))
	}))
	defer srv.Close()
	c := &ClickHouse{URL: srv.URL, User: "u", Password: "secret", Database: "d", Client: srv.Client()}
	rows := 0
	if err := c.Query(t.Context(), "SELECT 1", func(col []string) error { rows += len(col); return nil }); err != nil || rows != 4 {
		t.Errorf("%d values, %v", rows, err)
	}
	c.Password = "guess"
	if err := c.Query(t.Context(), "SELECT 1", nil); err == nil || !strings.Contains(err.Error(), "who are you") {
		t.Errorf("a wrong password: %v", err)
	}
}
