package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a YAML file. They stop a file made to exhaust memory; no real file
// comes near them.
const (
	MaxYAMLBytes = 8 << 20
	maxYAMLDepth = 64
	maxYAMLNodes = 500_000 // visited while decoding, aliases followed each time
)

// Document is one parsed YAML file: what Decode fills a struct from, and what
// tells where in the file a value stands. It is read-only after ParseYAML and
// may be used in parallel.
type Document struct {
	file string
	root *yaml.Node // nil: the file holds nothing
}

// ParseYAML parses one file. The error, when there is one, is of type Problems.
// The name is only used in problems.
func ParseYAML(file string, data []byte) (*Document, error) {
	if len(data) > MaxYAMLBytes {
		return nil, Problems{{File: file, Line: 1, Column: 1,
			Message: fmt.Sprintf("the file has %d bytes", len(data)),
			Hint:    fmt.Sprintf("write several files of at most %d bytes", MaxYAMLBytes)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return &Document{file: file}, nil
	case err != nil:
		return nil, Problems{syntaxProblem(file, data, err)}
	}
	var next yaml.Node
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, Problems{syntaxProblem(file, data, err)}
	default:
		return nil, Problems{{File: file, Line: next.Line, Column: max(next.Column, 1),
			Message: "a second document begins here", Hint: "write one document a file, without ---"}}
	}
	d := &Document{file: file}
	if root.Kind == yaml.DocumentNode && len(root.Content) > 0 && !isNull(root.Content[0]) {
		d.root = root.Content[0]
	}
	return d, nil
}

// File returns the name given to ParseYAML.
func (d *Document) File() string { return d.file }

// Empty reports whether the file holds no value at all.
func (d *Document) Empty() bool { return d.root == nil }

// Position returns line and column, from 1, of the value at the path: strings
// are keys of mappings (the key's position counts), ints elements of lists from
// 0. Where the path leads beyond what the file holds, the position of the
// deepest part that is there is returned.
func (d *Document) Position(path ...any) (line, column int) {
	line, column = 1, 1
	n := d.root
	if n == nil {
		return line, column
	}
	line, column = n.Line, n.Column
	for _, p := range path {
		n = follow(n)
		var at, next *yaml.Node
		switch p := p.(type) {
		case string:
			at, next = lookup(n, p)
		case int:
			if n.Kind == yaml.SequenceNode && p >= 0 && p < len(n.Content) {
				at, next = n.Content[p], n.Content[p]
			}
		}
		if next == nil {
			return line, column
		}
		line, column, n = at.Line, at.Column, next
	}
	return line, column
}

// Has reports whether the file holds something at the path, be it nothing
// (null).
func (d *Document) Has(path ...any) bool {
	n := d.root
	for _, p := range path {
		if n == nil {
			return false
		}
		n = follow(n)
		switch p := p.(type) {
		case string:
			_, n = lookup(n, p)
		case int:
			if n.Kind != yaml.SequenceNode || p < 0 || p >= len(n.Content) {
				return false
			}
			n = n.Content[p]
		}
	}
	return n != nil
}

// Problem makes a problem about the value at the path.
func (d *Document) Problem(message, hint string, path ...any) Problem {
	line, column := d.Position(path...)
	return Problem{File: d.file, Line: line, Column: column, Path: PathText(path...), Message: message, Hint: hint}
}

// PathText writes a path as people read it: calls[3].schedule.every.
func PathText(path ...any) string {
	var b strings.Builder
	for _, p := range path {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", p)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(p)
		}
	}
	return b.String()
}

func lookup(n *yaml.Node, key string) (at, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// follow resolves aliases. A chain of aliases ends: YAML anchors precede them.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	n = follow(n)
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// yamlLine finds the line in the parser's messages, the only place it gives it.
var yamlLine = regexp.MustCompile(`^line (\d+): `)

func syntaxProblem(file string, data []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	p := Problem{File: file, Line: 1, Column: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if line, ok := brokenLine(data); ok {
		p.Line = line
	}
	p.Message = "this is not YAML: " + text
	p.Hint = "check indentation, quotes and colons on this line and the one before"
	return p
}

// brokenLine returns the line after which no beginning of the file is YAML any
// more. The parser names the line where the broken part begins, which can be
// far above.
func brokenLine(data []byte) (line int, ok bool) {
	const most = 1000
	lines := bytes.SplitAfter(data, []byte("\n"))
	if len(lines) > most {
		return 0, false
	}
	end := len(data)
	for n := len(lines); n > 0; n-- {
		end -= len(lines[n-1])
		var any yaml.Node
		if err := yaml.Unmarshal(data[:end], &any); err == nil {
			return n, true
		}
	}
	return 1, true
}
