package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/ops"
)

// What every record of a batch says does not fill the log, and is not lost.
func TestLogRepeatsItselfSeldom(t *testing.T) {
	var said bytes.Buffer
	a, err := New(Settings{Config: config.Default()}, slog.New(slog.NewTextHandler(&said, nil)), ops.NewRegistry("test"))
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		a.log.With("part", "lake").Warn("a record cannot become a row")
	}
	a.Close()
	if n := strings.Count(said.String(), "\n"); n > 10 {
		t.Errorf("%d lines say the same", n)
	}
	if !strings.Contains(said.String(), "left_out=9") {
		t.Errorf("nothing says how many lines were left out:\n%s", said.String())
	}
}
