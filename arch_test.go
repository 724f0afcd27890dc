package pricelake_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the house that a compiler does not know (docs/ARCHITECTURE.md):
// who may import whom, one home for each heavy library, no state in packages, no
// float on the path of a price. Test files are free of all but the last.

const module = "github.com/pricelake/pricelake/"

// source is one Go file that is no test.
type source struct {
	dir  string // of its package, from the root, with slashes
	name string // with dir
	file *ast.File
	set  *token.FileSet
}

func (s *source) line(n ast.Node) int { return s.set.Position(n.Pos()).Line }

// imports returns the paths the file imports.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, imported)
	}
	return paths
}

func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"testdata", "bin", "dist"}, entry.Name())):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		name = filepath.ToSlash(name)
		all = append(all, &source{dir: path.Dir(name), name: name, file: file, set: set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("only %d files found", len(all))
	}
	return all
}

// mayImport says which packages of the house a folder may import. The longest
// entry that is the folder or, ending in a slash, above it decides. Stages get
// everything else (codecs, publishers, logs) as values from internal/app.
var mayImport = map[string][]string{
	"schemas":         {},
	"schemas/avro":    {"internal/secure", "schemas"},
	"internal/stream": {},
	"internal/secure": {},

	"producers/":          {"internal/failpoint", "internal/stream", "schemas"},
	"producers/mapping":   {"schemas"},
	"producers/providers": {"internal/config", "producers/mapping", "schemas"},
	"producers/catalog":   {"internal/config", "producers/mapping", "producers/providers", "schemas"},
	"processors":          {"internal/failpoint", "internal/stream", "schemas"},
	"processors/":         {"internal/failpoint", "internal/stream", "schemas", "processors"},
	"sinks":               {"internal/failpoint", "internal/stream", "schemas"},
	"sinks/":              {"internal/failpoint", "internal/secure", "internal/stream", "schemas", "sinks"},

	"internal/kafka":       {"internal/config", "internal/failpoint", "internal/secure", "internal/stream", "schemas"},
	"internal/secure/":     {"internal/secure"},
	"internal/accounts":    {},
	"internal/embed":       {"internal/accounts", "internal/ops", "schemas", "schemas/avro"},
	"internal/embed/":      {"internal/embed"},
	"internal/simulator":   {"internal/ops"},
	"internal/simulator/":  {"internal/simulator", "schemas"},
	"internal/config":      {},
	"internal/config/":     {"internal/config"},
	"internal/failpoint":   {},
	"internal/freeport":    {},
	"internal/ops":         {},
	"internal/promtest":    {"internal/servers"}, // for tests
	"internal/servers":     {"internal/freeport"},
	"internal/bench":       {"internal/", "producers/catalog", "schemas", "schemas/"},
	"internal/e2e":         {}, // tests only
	"internal/e2e/":        {},
	"internal/app":         {"internal/", "producers/", "processors", "processors/", "sinks", "sinks/", "schemas", "schemas/"},
	"cmd/pricelake-chaos":  {"cmd/pricelake-chaos/", "internal/", "producers/catalog", "schemas/avro"},
	"cmd/pricelake-chaos/": {"cmd/pricelake-chaos/"}, // its oracle shares nothing with the product
	"cmd/":                 {"internal/", "producers/", "processors/", "sinks/", "schemas", "schemas/"},
}

func TestImportsOfTheHouse(t *testing.T) {
	for _, s := range sources(t) {
		allowed, ok := longest(mayImport, s.dir)
		if !ok {
			t.Errorf("%s: say in mayImport what the new folder %s may import", s.name, s.dir)
			continue
		}
		for _, imported := range s.imports() {
			inner, ours := strings.CutPrefix(imported, module)
			if ours && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, inner) }) {
				t.Errorf("%s imports %s; %s may import only %q", s.name, inner, s.dir, allowed)
			}
		}
	}
}

// homes says where alone a library may be imported. The longest entry that is
// the path or above it decides; libraries without an entry are free.
var homes = map[string][]string{
	"github.com/twmb/franz-go/":                    {"internal/kafka", "internal/embed"},
	"github.com/twmb/franz-go/pkg/kgo":             {"internal/kafka", "cmd/pricelake-chaos"},
	"github.com/twmb/franz-go/pkg/kadm":            {"internal/kafka", "cmd/pricelake-chaos"},
	"github.com/twmb/franz-go/pkg/kerr":            {"internal/kafka", "cmd/pricelake-chaos"},
	"github.com/twmb/franz-go/pkg/kmsg":            {"internal/kafka", "internal/embed", "cmd/pricelake-chaos"},
	"github.com/twmb/franz-go/pkg/kfake":           {"internal/embed"},
	"github.com/twmb/franz-go/pkg/sr":              {"schemas/avro"},
	"github.com/twmb/franz-go/pkg/sr/":             {"internal/embed"},
	"github.com/linkedin/goavro/":                  {"schemas/avro"},
	"github.com/twmb/avro":                         {"schemas/avro"},
	"github.com/ClickHouse/":                       {"sinks/lake", "internal/embed"},
	"github.com/pressly/goose/":                    {"sinks/lake"},
	"go.yaml.in/":                                  {"internal/config"},
	"gopkg.in/yaml.v3":                             {}, // archived: go.yaml.in/yaml
	"github.com/cockroachdb/":                      {"processors/dedupe"},
	"github.com/itchyny/gojq":                      {"producers/mapping"},
	"github.com/ebitengine/purego":                 {"internal/embed"},
	"github.com/creack/pty":                        {"internal/embed"},
	"github.com/spf13/cobra":                       {"cmd/pricelake"},
	"github.com/robfig/cron/":                      {"producers/catalog", "producers/scheduler"},
	"github.com/prometheus/client_golang/":         {"internal", "processors", "producers", "sinks"},
	"github.com/shopspring/decimal":                {}, // schemas.Decimal
	"github.com/stretchr/testify/":                 {}, // plain testing
	"log":                                          {}, // log/slog, passed in
	"plugin":                                       {},
	"github.com/prometheus/client_golang/promauto": {}, // registers in a global
}

func TestLibrariesStayHome(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			allowed, ok := longest(homes, imported)
			if ok && !slices.ContainsFunc(allowed, func(home string) bool { return s.dir == home || strings.HasPrefix(s.dir, home+"/") }) {
				t.Errorf("%s imports %s, whose home is %q", s.name, imported, allowed)
			}
		}
	}
}

// TestVocabularyIsStandard: whoever speaks of records and batches gets no
// library with them.
func TestVocabularyIsStandard(t *testing.T) {
	for _, s := range sources(t) {
		if s.dir != "schemas" && s.dir != "internal/stream" {
			continue
		}
		for _, imported := range s.imports() {
			if strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s; its package keeps to the standard library", s.name, imported)
			}
		}
	}
}

// TestMappingIsPure: a reading depends on the answer and the mapping alone (I4).
func TestMappingIsPure(t *testing.T) {
	for _, s := range sources(t) {
		for _, imported := range s.imports() {
			if s.dir == "producers/mapping" && slices.Contains([]string{"net", "net/http", "os", "math/rand", "math/rand/v2", "log/slog"}, imported) {
				t.Errorf("%s imports %s; a mapping reads nothing but what it is given", s.name, imported)
			}
		}
	}
}

// longest returns the value of the longest key that covers name.
func longest(rules map[string][]string, name string) (value []string, ok bool) {
	best := -1
	for key, v := range rules {
		if covers(key, name) && len(key) > best {
			best, value, ok = len(key), v, true
		}
	}
	return value, ok
}

// covers says whether key is name or, ending in a slash, above it.
func covers(key, name string) bool {
	return key == name || strings.HasSuffix(key, "/") && strings.HasPrefix(name, key)
}
