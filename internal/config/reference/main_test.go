package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestReference fails when the page was not generated after a change.
func TestReference(t *testing.T) {
	want, err := markdown("..")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is stale: run `go generate ./internal/config`")
	}
}
