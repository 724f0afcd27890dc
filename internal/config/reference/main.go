// Reference writes docs/configuration.md from the declarations in internal/config:
// every key with its variable, its default and what its comment says.
//
//	go generate ./internal/config
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/pricelake/pricelake/internal/config"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reference SOURCES OUTPUT: the folder of package config and the file to write")
		os.Exit(2)
	}
	text, err := markdown(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], text, 0o644)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "reference: %s\n", err)
		os.Exit(1)
	}
}

//go:embed head.md
var head string

// markdown returns the whole page. sources is the folder of package config.
func markdown(sources string) ([]byte, error) {
	docs, err := comments(sources)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBufferString(head)
	c := config.Default()
	section := "?"
	for _, s := range c.Settings() {
		name, _, nested := strings.Cut(s.Key, ".")
		if !nested {
			name = ""
		}
		if name != section {
			section = name
			title := "The process"
			if name != "" {
				title = name
			}
			fmt.Fprintf(b, "\n## %s\n\n", title)
			if intro := docs[typeOf(name)]; intro != "" {
				_, intro, _ = strings.Cut(intro, " configures ")
				fmt.Fprintf(b, "%s\n\n", strings.ToUpper(intro[:1])+intro[1:])
			}
			b.WriteString("| key | variable | default | meaning |\n|---|---|---|---|\n")
		}
		meaning := docs[s.Type+"."+s.Field]
		if meaning == "" {
			return nil, fmt.Errorf("%s.%s, the key %s, has no comment: say what it means", s.Type, s.Field, s.Key)
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s | %s |\n", s.Key, s.Env, standard(s), strings.ReplaceAll(meaning, "|", `\|`))
	}
	return b.Bytes(), nil
}

// typeOf is the type that declares a section.
func typeOf(section string) string {
	return map[string]string{"log": "Log", "admin": "Admin", "kafka": "Kafka", "registry": "Registry", "clickhouse": "ClickHouse",
		"poller": "Poller", "processor": "Processor", "lake": "Lake"}[section]
}

// standard is the default of a key. That of the instance is another one in each
// process.
func standard(s config.Setting) string {
	switch text := s.Text(); {
	case s.Key == "instance":
		return "host name and process id"
	case text == "":
		return "none"
	default:
		return "`" + text + "`"
	}
}

// comments returns what the source says of each type and field, by "Type" and
// "Type.Field".
func comments(sources string) (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(sources, "*.go"))
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading the declarations: %w", err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			decl, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range decl.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					docs[t.Name.Name] = sentence(decl.Doc)
					fields(t, docs)
				}
			}
			return false
		})
	}
	return docs, nil
}

func fields(t *ast.TypeSpec, docs map[string]string) {
	s, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range s.Fields.List {
		for _, name := range f.Names {
			docs[t.Name.Name+"."+name.Name] = sentence(f.Doc)
		}
	}
}

// sentence makes one line of a comment.
func sentence(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
