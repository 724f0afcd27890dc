package pricelake_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// floats lists the declarations on the path of a price that may speak of binary
// floating point, with the reason. None of them may hold an amount.
var floats = map[string]string{
	"processors/dedupe.Deduplicator.stateBytes": "the value of a gauge",
	"processors/dedupe.newMetrics":              "the value of a gauge",
	"producers/mapping.numberReader.text":       "refuses a float out of jq",
	"producers/mapping.typeName":                "names what was found, in an error",
	"sinks/lake.textOf":                         "prints columns of people's own queries",
}

// TestNoFloatOnThePath walks the code a price passes through: no type, literal or
// conversion of binary floating point (I7), but for values of metrics.
func TestNoFloatOnThePath(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		tree, _, _ := strings.Cut(s.dir, "/")
		if !slices.Contains([]string{"schemas", "producers", "processors", "sinks"}, tree) {
			continue
		}
		for _, decl := range s.file.Decls {
			key := s.dir + "." + declName(decl)
			for _, n := range floatNodes(decl) {
				if used[key] = true; floats[key] == "" {
					t.Errorf("%s:%d: binary floating point in %s; amounts are schemas.Decimal, anything else needs a reason in floats", s.name, s.line(n), key)
				}
			}
		}
	}
	for key := range floats {
		if !used[key] {
			t.Errorf("%s has no floats any more: take it off the list", key)
		}
	}
}

// declName returns the function's name with its receiver's type, or the first
// name declared.
func declName(decl ast.Decl) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return d.Name.Name
		}
		return strings.TrimLeft(typeName(d.Recv.List[0].Type), "*") + "." + d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				return s.Name.Name
			case *ast.ValueSpec:
				return s.Names[0].Name
			}
		}
	}
	return ""
}

func typeName(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return typeName(x.X)
	case *ast.IndexExpr:
		return typeName(x.X)
	case *ast.IndexListExpr:
		return typeName(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

// floatNodes returns what in a declaration makes or names a float, passing over
// values that go straight into a metric.
func floatNodes(decl ast.Decl) (found []ast.Node) {
	ast.Inspect(decl, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CallExpr:
			if isMetricCall(x) {
				found = append(found, floatNodesOf(x.Fun)...)
				return false
			}
			if name := selector(x.Fun); strings.HasPrefix(name, "strconv.") && strings.HasSuffix(name, "Float") {
				found = append(found, x)
			}
		case *ast.KeyValueExpr:
			if key, ok := x.Key.(*ast.Ident); ok && key.Name == "Buckets" {
				return false
			}
		}
		if isFloat(n) {
			found = append(found, n)
		}
		return true
	})
	return found
}

func floatNodesOf(e ast.Expr) (found []ast.Node) {
	ast.Inspect(e, func(n ast.Node) bool {
		if isFloat(n) {
			found = append(found, n)
		}
		return true
	})
	return found
}

// isMetricCall says whether a call hands a count or a duration to a metric.
func isMetricCall(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) != 1 {
		return false
	}
	if !slices.Contains([]string{"Add", "Sub", "Set", "Observe"}, sel.Sel.Name) {
		return false
	}
	converts, ok := call.Args[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := converts.Fun.(*ast.Ident)
	return ok && f.Name == "float64"
}

// isFloat says whether a node names a float type, is a literal of one, or calls
// for one.
func isFloat(n ast.Node) bool {
	switch x := n.(type) {
	case *ast.Ident:
		return slices.Contains([]string{"float32", "float64", "complex64", "complex128"}, x.Name)
	case *ast.BasicLit:
		return x.Kind == token.FLOAT
	case *ast.SelectorExpr:
		return slices.Contains([]string{"Float", "Float32", "Float64", "SetFloat64", "AsFloat64"}, x.Sel.Name)
	}
	return false
}

func TestFloatRuleBites(t *testing.T) {
	f := func(code string, want int) {
		t.Helper()
		found := 0
		for _, decl := range parse(t, code).Decls {
			found += len(floatNodes(decl))
		}
		if found != want {
			t.Errorf("%s: %d found, want %d", code, found, want)
		}
	}
	f(`var x float64`, 1)
	f(`const half = 0.5`, 1)
	f(`func f() { x := 1e3; _ = x }`, 1)
	f(`func f(s string) { strconv.ParseFloat(s, 64) }`, 1)
	f(`func f(d *big.Rat) { d.Float64() }`, 1)
	f(`func f(v any) { switch v.(type) { case float64: } }`, 1)
	f(`var x big.Float`, 1)
	f(`func f() { m.rows.Add(float64(n)) }`, 0)
	f(`func f() { sum.Add(sum, float64(n)) }`, 1)
	f(`var h = prometheus.HistogramOpts{Buckets: []float64{0.1, 1}}`, 0)
	f(`func f() { x.Observe(d.Seconds()) }`, 0)
}

func parse(t *testing.T, code string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
