package pricelake_test

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// TestPackagesSayWhatTheyAre: every package has a doc comment, in one file, and
// a name that says something.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	documented, packages := map[string]int{}, map[string]string{}
	for _, s := range sources(t) {
		packages[s.dir] = s.file.Name.Name
		if s.file.Doc != nil {
			documented[s.dir]++
		}
	}
	for dir, name := range packages {
		if documented[dir] != 1 {
			t.Errorf("package %s in %s has %d doc comments, want one", name, dir, documented[dir])
		}
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "models", "base", "misc", "shared"}, path.Base(dir)) {
			t.Errorf("%s: the name says nothing about what is inside", dir)
		}
	}
}

// stateful lists package variables that may change, with the reason.
var stateful = map[string]string{
	"cmd/pricelake.releaseCommit":     "the linker can set nothing else",
	"cmd/pricelake.releaseVersion":    "the linker can set nothing else",
	"internal/embed/embedtest.shared": "the tests of one binary share one stack",
	"internal/servers.built":          "the tests of one binary share what they build",
	"processors/dedupe.checkpointKey": "a key of the store, which only reads it",
}

// TestPackagesHaveNoState: no init, and no package variable but errors,
// interface checks, embedded files and regular expressions.
func TestPackagesHaveNoState(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s:%d: init runs before anyone can pass it anything", s.name, s.line(d))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					checkVariables(t, s, d)
				}
			}
		}
	}
}

func checkVariables(t *testing.T, s *source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			var value ast.Expr
			if i < len(v.Values) {
				value = v.Values[i]
			}
			if name.Name != "_" && !embedded(d.Doc) && !embedded(v.Doc) && !constant(value) && stateful[s.dir+"."+name.Name] == "" {
				t.Errorf("%s:%d: the package variable %s can be changed by anyone; pass it, or make it a function", s.name, s.line(name), name.Name)
			}
		}
	}
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// constant says whether a value is one that nobody changes: an error or a
// regular expression.
func constant(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	return ok && slices.Contains([]string{"errors.New", "fmt.Errorf", "regexp.MustCompile"}, selector(call.Fun))
}

// selector returns "x.Name" of such an expression, empty for any other.
func selector(e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + sel.Sel.Name
}

// abrupt lists files that may end the process or panic, with the reason.
var abrupt = map[string]string{
	"cmd/pricelake/main.go":                   "main",
	"internal/config/reference/main.go":       "main",
	"cmd/pricelake-chaos/main.go":             "main",
	"internal/embed/clickhouse-child/main.go": "main",
	"processors/dedupe/storelog.go":           "the store's logger must not return from Fatalf; its caller recovers",
}

// TestNobodyPanics: errors are returned; only main ends the process.
func TestNobodyPanics(t *testing.T) {
	for _, s := range sources(t) {
		if abrupt[s.name] != "" {
			continue
		}
		for _, decl := range s.file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if f, isIdent := call.Fun.(*ast.Ident); isIdent && f.Name == "panic" || selector(call.Fun) == "os.Exit" {
					t.Errorf("%s:%d: no panic or os.Exit here: return an error", s.name, s.line(call))
				}
				return true
			})
		}
	}
}

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// TestSizes: what a reader has to hold in his head stays small.
func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if lines := s.set.File(s.file.Pos()).LineCount(); lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", s.name, lines, maxFileLines)
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				if lines := s.set.Position(f.End()).Line - s.line(f); lines > maxFunctionLines {
					t.Errorf("%s:%d: %s has %d lines, more than %d", s.name, s.line(f), f.Name.Name, lines, maxFunctionLines)
				}
			}
		}
		for _, group := range s.file.Comments {
			for _, mark := range []string{"TO" + "DO", "FIX" + "ME"} {
				if strings.Contains(group.Text(), mark) {
					t.Errorf("%s:%d: %s: do it, or write down why not", s.name, s.line(group), mark)
				}
			}
		}
	}
}
