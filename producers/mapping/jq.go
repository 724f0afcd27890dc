package mapping

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// jqFunctions are the jq functions a mapping may call: those that select and
// rearrange. Left out is what computes numbers (they would become floats), what
// reads clock, environment, input or files, and what stops the process.
func jqFunctions() []string {
	return strings.Fields(`
		all any arrays ascii ascii_downcase ascii_upcase booleans capture contains del empty endswith
		error explode first flatten from_entries fromjson getpath group_by gsub has implode in index indices
		inside isempty iterables join keys keys_unsorted last length limit ltrim ltrimstr map map_values match
		max_by min_by not nth nulls numbers objects path paths range recurse reverse rindex rtrim rtrimstr scalars scan
		select sort sort_by split splits startswith strings sub test to_entries tojson tostring transpose trim
		trimstr type unique_by values walk with_entries add`)
}

// errSteps ends an expression that runs too long.
var errSteps = errors.New("the expression takes too many steps")

// budget bounds the work of all expressions of one reading, by jq's own steps
// and not by time, so that a reading never depends on the machine. gojq asks
// for Done before every instruction.
type budget struct {
	context.Context
	left int
	over chan struct{}
}

func newBudget(bodyBytes int) *budget {
	const least, perByte = 1 << 20, 32
	over := make(chan struct{})
	close(over)
	return &budget{Context: context.Background(), left: least + perByte*bodyBytes, over: over}
}

func (b *budget) Done() <-chan struct{} {
	if b.left--; b.left <= 0 {
		return b.over
	}
	return nil
}

func (b *budget) Err() error {
	if b.left <= 0 {
		return errSteps
	}
	return nil
}

// scope holds what an expression can see.
type scope struct {
	row, doc, up any
	budget       *budget
}

// expr is a compiled path. It may be used in parallel.
type expr struct {
	text string
	fast []step // set: the path is a plain look-up, done without jq
	root root
	code *gojq.Code
}

// compileExpr compiles a path and refuses what a mapping must not do.
func compileExpr(text string) (*expr, error) {
	query, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("this is not jq, %w: write a path such as .price or .result.a[0]", err)
	}
	if len(query.Imports) > 0 || query.Meta != nil {
		return nil, errors.New("jq modules cannot be used: write the expression out")
	}
	if root, steps, ok := compileFast(query); ok {
		return &expr{text: text, fast: steps, root: root}, nil
	}
	return compileSlow(text, query)
}

// compileSlow makes an expression that jq's machine runs.
func compileSlow(text string, query *gojq.Query) (*expr, error) {
	if err := tame(query); err != nil {
		return nil, err
	}
	code, err := gojq.Compile(query, gojq.WithVariables([]string{"$doc", "$up"}),
		gojq.WithFunction(concatFunction, 2, 2, func(_ any, args []any) any { return concat(args[0], args[1]) }),
		gojq.WithFunction(concatAllFunction, 0, 0, concatAll),
		gojq.WithFunction(entriesFunction, 0, 0, entries))
	if err != nil {
		return nil, fmt.Errorf("this jq does not compile, %w: see the functions in docs/catalog.md", err)
	}
	return &expr{text: text, code: code}, nil
}

// each calls yield with every value of the expression until it returns false.
func (e *expr) each(s *scope, yield func(any) bool) error {
	if e.fast != nil {
		_, err := e.walk(s, yield)
		return err
	}
	iter := e.code.RunWithContext(s.budget, s.row, s.doc, s.up)
	for {
		v, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, ok := v.(error); ok {
			return err
		}
		if !yield(v) {
			return nil
		}
	}
}

// one returns the only value of the expression; found is false when there is
// none or, of a plain path, when the last key is missing.
func (e *expr) one(s *scope) (value any, found bool, err error) {
	if e.fast != nil {
		return e.lookup(s)
	}
	n := 0
	err = e.each(s, func(v any) bool {
		value, found = v, v != nil
		n++
		return n < 2
	})
	if err == nil && n > 1 {
		err = fmt.Errorf("%s yields more than one value", e.text)
	}
	return value, found, err
}

// truthy reports whether any value of the expression is neither null nor false,
// and returns that value.
func (e *expr) truthy(s *scope) (value any, ok bool, err error) {
	err = e.each(s, func(v any) bool {
		if v != nil && v != false {
			value, ok = v, true
		}
		return !ok
	})
	return value, ok, err
}

const (
	concatFunction    = "pricelake_concat"
	concatAllFunction = "pricelake_concat_all"
	entriesFunction   = "pricelake_to_entries"
)

// tame walks the expression, refuses what computes numbers or leaves the
// answer, and turns + and add into functions that join texts, lists and objects
// but no numbers. So no float can be made, not even on the way to a text. And it
// makes to_entries want an object: jq takes a list too and would read another
// shape of answer as one without the symbols asked for.
func tame(query *gojq.Query) error {
	allowed := jqFunctions()
	visit(reflect.ValueOf(query), func(n any) {
		if f, ok := n.(*gojq.FuncDef); ok {
			allowed = append(append(allowed, f.Name), f.Args...)
		}
	})
	var problem error
	refuse := func(err error) {
		if problem == nil {
			problem = err
		}
	}
	visit(reflect.ValueOf(query), func(n any) {
		switch n := n.(type) {
		case *gojq.Query:
			if isArithmetic(n.Op) {
				refuse(fmt.Errorf("jq arithmetic (%s) makes floats: use lot, factor, inverse or a time format of the mapping", n.Op))
			}
			if n.Op == gojq.OpAdd {
				call := &gojq.Func{Name: concatFunction, Args: []*gojq.Query{n.Left, n.Right}}
				n.Op, n.Left, n.Right = 0, nil, nil
				n.Term = &gojq.Term{Type: gojq.TermTypeFunc, Func: call}
			}
		case *gojq.Func:
			switch {
			case n.Name == concatFunction && len(n.Args) == 2, strings.HasPrefix(n.Name, "$") && n.Name != "$ENV":
			case n.Name == "add" && len(n.Args) == 0:
				n.Name = concatAllFunction
			case n.Name == "to_entries" && len(n.Args) == 0:
				n.Name = entriesFunction
			case n.Name == "tonumber":
				refuse(errors.New("tonumber makes floats: write the path alone, text that is a number is read exactly"))
			case n.Name == "add" || !slices.Contains(allowed, n.Name):
				refuse(fmt.Errorf("the jq function %s cannot be used in a mapping: see the functions in docs/catalog.md", n.Name))
			}
		case *gojq.Term:
			if n.Format != "" && n.Format != "@text" && n.Format != "@json" && n.Format != "@base64d" {
				refuse(fmt.Errorf("the jq format %s cannot be used in a mapping: use @text, @json or @base64d", n.Format))
			}
		}
	})
	return problem
}

func isArithmetic(op gojq.Operator) bool {
	switch op {
	case gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod,
		gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod:
		return true
	}
	return false
}

// visit calls see for every node of a syntax tree, parents first.
func visit(v reflect.Value, see func(any)) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		see(v.Interface())
		visit(v.Elem(), see)
	case reflect.Struct:
		for i := range v.NumField() {
			visit(v.Field(i), see)
		}
	case reflect.Slice:
		for i := range v.Len() {
			visit(v.Index(i), see)
		}
	}
}
