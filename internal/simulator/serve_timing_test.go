package simulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/simulator"
)

func BenchmarkServe(b *testing.B) {
	server := simulator.New(simulator.Config{})
	h := server.Handler()
	for _, path := range []string{coinbasePath, bookPath, historyPath} {
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%.12s", path[strings.LastIndexByte(path, '/')+1:]), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				h.ServeHTTP(&discard{header: http.Header{}}, r)
			}
		})
	}
}
