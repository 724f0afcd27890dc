package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// TestBadRowIsMended sends prices of which ClickHouse refuses one: the others are
// rows, it is a dead letter with its bytes and the server's reason. Replayed as it
// should have been it is one row, also when the replay is killed and made again,
// and again.
func TestBadRowIsMended(t *testing.T) {
	t.Parallel()
	u := embeddedSite(t, t.TempDir()).start("--catalog", quietCatalog(t))
	u.mustQuery("ALTER TABLE prices ADD CONSTRAINT sane CHECK trade_id != 'insane'")
	const prices = 10_000
	bad, mended := badPrice(t, u, prices)

	eventually(t, 2*time.Minute, "all prices but one are rows", func() error { return atLeast(u, prices-1) })
	var id string
	eventually(t, time.Minute, "the other is a dead letter", func() error {
		out, err := u.tool("dlq", "ls", "--role", "lake", "--json")
		if err != nil {
			return err
		}
		var letter schemas.DeadLetter
		if strings.Count(out, "\n") != 1 {
			return fmt.Errorf("dead letters: %q", out)
		}
		if err := json.Unmarshal([]byte(out), &letter); err != nil {
			return err
		}
		if string(letter.Value) != string(bad) || !strings.Contains(letter.Error, "sane") || letter.Reason != schemas.DeadRefused {
			t.Fatalf("the dead letter has %d bytes and says %v: %s", len(letter.Value), letter.Reason, letter.Error)
		}
		id = letter.DeadLetterID.String()
		return nil
	})
	file := filepath.Join(t.TempDir(), "mended")
	if err := os.WriteFile(file, mended, 0o600); err != nil {
		t.Fatal(err)
	}
	replay := []string{"dlq", "replay", id, "--value", file}
	t.Logf("%d replays were killed", killedUntilDone(t, append(replay, "--data-dir", u.dir)))
	for range 2 {
		if out, err := u.tool(replay...); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
	eventually(t, time.Minute, "the mended price is a row", func() error { return atLeast(u, prices) })
	verified(u) // and nothing comes after it
	u.exactlyOnce()
	for sql, want := range map[string]int64{
		"SELECT count() FROM prices": prices, "SELECT uniqExact(event_id) FROM prices": prices,
		"SELECT countIf(trade_id = 'mended') FROM prices": 1, "SELECT uniqExact(dead_letter_id) FROM dead_letters": 1, "SELECT count() FROM dead_letters": 1,
	} {
		if n := u.number(sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
	dropped(u, id)
}

// killedUntilDone runs a command that is killed ever later, until it ends by itself.
func killedUntilDone(t *testing.T, args []string) (kills int) {
	t.Helper()
	for patience := 50 * time.Millisecond; ; patience = patience * 5 / 4 {
		ctx, cancel := context.WithTimeout(context.Background(), patience) // then SIGKILL
		cmd := exec.CommandContext(ctx, pricelake(t), args...)
		cmd.Env = cleanEnv()
		out, err := cmd.CombinedOutput()
		late := ctx.Err() != nil
		cancel()
		if err == nil {
			return kills
		}
		if !late || patience > time.Minute {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		kills++
	}
}

// dropped drops the letter, which is somebody's decision and deletes nothing.
func dropped(u *up, id string) {
	u.t.Helper()
	for _, args := range [][]string{{"dlq", "drop", id}, {"dlq", "drop", "--reason", "mended"}} {
		if out, err := u.tool(args...); err == nil {
			u.t.Errorf("%v: %s", args, out)
		}
	}
	if out, err := u.tool("dlq", "drop", id, "--reason", "mended"); err != nil || !strings.Contains(out, "1 of 1 changed") {
		u.t.Errorf("dropping: %s, %v", out, err)
	}
	if out, err := u.tool("dlq", "ls", "--json"); err != nil || out != "" {
		u.t.Errorf("after the drop there are %s, %v", out, err)
	}
	if out, err := u.tool("dlq", "ls", "--dropped", "--json"); err != nil || !strings.Contains(out, `"reason":"mended"`) || !strings.Contains(out, id) {
		u.t.Errorf("dropped are %s, %v", out, err)
	}
	if n := u.number("SELECT count() FROM dead_letters"); n != 1 {
		u.t.Errorf("%d rows of dead letters after the drop", n)
	}
}

// badPrice publishes so many prices, one of them bad, and returns that and what it
// should have been.
func badPrice(t *testing.T, u *up, prices int) (bad, mended []byte) {
	t.Helper()
	client, err := avro.NewClient(u.Ready.Registry)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := avro.NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := codec.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka), kgo.DefaultProduceTopic(schemas.TopicPrices))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	one, _, err := schemas.ParseDecimal("12.5")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	encode := func(i int, trade string) []byte {
		wire, err := codec.Append(nil, &schemas.Price{EventID: schemas.DeriveID("badrow", fmt.Sprint(i)), Provider: "test", CallID: "test", Instrument: "TEST", Base: "A", Quote: "B",
			Kind: schemas.KindTrade, RateType: schemas.RateLast, Price: schemas.NullDecimal{Decimal: one, Valid: true}, EventTime: at, EventTimeKind: schemas.TimeSource,
			RequestedAt: at, FetchedAt: at, TradeID: trade})
		if err != nil {
			t.Fatal(err)
		}
		return wire
	}
	for i := range prices {
		wire := encode(i, fmt.Sprint(i))
		if i == prices/2 {
			bad, mended = encode(i, "insane"), encode(i, "mended")
			wire = bad
		}
		kafka.Produce(ctx, &kgo.Record{Key: []byte(fmt.Sprint(i)), Value: wire}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("price %d: %v", i, err)
			}
		})
	}
	if err := kafka.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return bad, mended
}
