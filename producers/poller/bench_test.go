package poller

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

// nothing stands for a codec that costs nothing.
type nothing[T any] struct{}

func (nothing[T]) Append(dst []byte, _ *T) ([]byte, error) { return append(dst, 0), nil }

// BenchmarkPoll is one poll over HTTP on the loopback, the server's share
// included; run it with -cpu 1 for polls a second of one core.
func BenchmarkPoll(b *testing.B) {
	body := []byte(strings.Repeat(`{"symbol":"BTC","price":"63251.25"},`, 60) + "ETH")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body)
	}))
	defer server.Close()
	client := NewClient(ClientConfig{AllowPrivate: []string{"127.0.0.1"}})
	defer client.Close()
	def := &schemas.CallDefined{
		CallID: "acme", Version: "v1", Provider: "acme", Request: schemas.CallRequest{URL: server.URL},
		Symbols: []schemas.CallSymbol{{Symbol: "BTC"}, {Symbol: "ETH"}},
	}
	p := New(Config{
		Client: client, Calls: oneCall{def}, Reader: bodyReader{}, Limiter: NewLimits(0, 0, 64), Requests: fixedRequest{},
		Responses: nothing[schemas.ResponseReceived]{}, Polls: nothing[schemas.PollFinished]{}, DeadLetters: nothing[schemas.DeadLetter]{},
		Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
	})
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			out, err := p.Handle(b.Context(), stream.Record{Topic: schemas.TopicRequests})
			if err != nil || len(out.Records) != 2 {
				b.Errorf("%d records, %v", len(out.Records), err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "polls/s")
}

type oneCall struct{ def *schemas.CallDefined }

func (c oneCall) Call(context.Context, string, string) (*schemas.CallDefined, error) {
	return c.def, nil
}

type fixedRequest struct{}

func (fixedRequest) Decode(_ context.Context, _ []byte, v *schemas.PollRequested) error {
	v.CallID, v.CallVersion, v.Account = "acme", "v1", "acme-key"
	return nil
}
