package pricelake_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

var (
	// namedPage is a page as messages, comments and manifests name it: from the root.
	namedPage = regexp.MustCompile(`\bdocs/[\w./-]+\.md\b`)
	// link is a relative link of a page.
	link = regexp.MustCompile(`\]\(([^)\s:#]+)(#[^)\s]*)?\)`)
)

// TestNamedPagesExist: whoever follows the name of a page, or a link of one, finds
// it. A log line that names a page is read when something is wrong.
func TestNamedPagesExist(t *testing.T) {
	names := 0
	exists := func(in, page string) {
		names++
		if _, err := os.Stat(page); err != nil {
			t.Errorf("%s names %s: there is no such file", in, page)
		}
	}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !slices.Contains([]string{".go", ".md", ".yml", ".yaml", ".sh", ".sql", ".xml", ".example", ""}, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, page := range namedPage.FindAllString(string(text), -1) {
			exists(name, page)
		}
		if filepath.Ext(name) == ".md" {
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				exists(name, filepath.Join(filepath.Dir(name), m[1]))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if names < 200 {
		t.Errorf("only %d names of pages found", names)
	}
}
