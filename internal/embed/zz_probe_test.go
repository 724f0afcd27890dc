package embed_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/embed/embedtest"
)

func TestProbe(t *testing.T) {
	ch := embedtest.ClickHouse(t)
	data, _ := os.ReadFile("/tmp/emb/probe.sql")
	users := map[string][2]string{"o": {ch.Owner().User, ch.Owner().Password}, "r": {ch.Reader().User, ch.Reader().Password}, "d": {"", ""}, "x": {ch.Operator().User, ch.Operator().Password}}
	for _, line := range strings.Split(string(data), "\n") {
		u, q, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		req, _ := http.NewRequest("POST", ch.HTTPURL()+"/", strings.NewReader(q))
		if users[u][0] != "" {
			req.Header.Set("X-ClickHouse-User", users[u][0])
			req.Header.Set("X-ClickHouse-Key", users[u][1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			fmt.Println(line, "ERR", err)
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		s := strings.TrimSpace(string(b))
		if len(s) > 3000 {
			s = s[:3000]
		}
		fmt.Printf("%s\n      => %s\n", line, s)
	}
}
