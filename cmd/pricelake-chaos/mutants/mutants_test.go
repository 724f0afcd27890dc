// Package mutants holds known faults as patches; see README.md.
package mutants

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// heads are the lines that every patch begins with.
func heads() []string { return []string{"Mutant: ", "Breaks: ", "Kill: go test -count=1 "} }

// TestPatchesApply: code changes, and a patch that no longer applies shows nothing.
func TestPatchesApply(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no git on this machine")
	}
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	patches, err := filepath.Glob("*.patch")
	if err != nil || len(patches) < 15 {
		t.Fatalf("%d patches, %v; there are at least 15", len(patches), err)
	}
	for _, name := range patches {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\n--- a/")
		for i, want := range heads() {
			if line := strings.Split(head, "\n")[i]; !strings.HasPrefix(line, want) || len(line) == len(want) {
				t.Errorf("%s: line %d is %q, want %q and more", name, i+1, line, want)
			}
		}
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		check := exec.CommandContext(t.Context(), git, "apply", "--check", path)
		check.Dir = root
		// A tree that is no repository must not be taken for a part of one
		// around it, where nothing of a patch would apply and that be fine.
		check.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(root))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v; make it again after the code it touches:\n%s", name, err, out)
		}
	}
}
