package pricelake_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestServersAreVerified keeps the switch that turns verification off out of the
// repository, tests and all.
func TestServersAreVerified(t *testing.T) {
	const off = "Insecure" + "SkipVerify"
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == off {
				t.Errorf("%s:%d: a server is recognised by its certificate: name its authority in …tls.ca_file", s.name, s.line(n))
			}
			return true
		})
	}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil && name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"bin", "dist"}, entry.Name())) {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), off) {
			t.Errorf("%s: a test that does not verify proves nothing: give it an authority of internal/secure/securetest", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
