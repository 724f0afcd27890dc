package mapping

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// Bounds of a tree. An answer beyond them is unparsable, whatever it says.
const (
	maxTreeDepth  = 64
	maxTreeValues = 1_000_000
)

// The formats of a body.
const (
	formatJSON = "json"
	formatXML  = "xml"
	formatCSV  = "csv"
)

// parseBody turns a body into a tree of map[string]any, []any, string,
// json.Number, bool and nil.
func (p *Program) parseBody(body []byte, contentType string) (any, error) {
	text, err := toUTF8(body, p.charset, p.format, contentType)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("the body is empty")
	}
	switch p.format {
	case formatXML:
		return parseXML(text)
	case formatCSV:
		return parseCSV(text, p.csv)
	}
	return parseJSON(text)
}

// toUTF8 decodes a body. The mapping's charset counts before a byte order mark,
// that before an XML prolog, and that before the charset of the Content-Type;
// for JSON, which is UTF-8 by definition, the header does not count.
func toUTF8(body []byte, charset encoding.Encoding, format, contentType string) ([]byte, error) {
	enc := charset
	name := "the mapping's charset"
	switch {
	case enc != nil:
	case bytes.HasPrefix(body, []byte{0xFE, 0xFF}):
		enc, name = unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM), "UTF-16"
	case bytes.HasPrefix(body, []byte{0xFF, 0xFE}):
		enc, name = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM), "UTF-16"
	case bytes.HasPrefix(body, utf8BOM()) || format == formatJSON:
	default:
		if name = declaredCharset(body, format, contentType); name != "" {
			var err error
			if enc, err = htmlindex.Get(name); err != nil {
				return nil, fmt.Errorf("the charset %q is unknown: %w", name, err)
			}
		}
	}
	if enc != nil {
		text, err := enc.NewDecoder().Bytes(body)
		if err != nil {
			return nil, fmt.Errorf("decoding the body as %s: %w", name, err)
		}
		body = text
	}
	body = bytes.TrimPrefix(body, utf8BOM())
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("the body is not UTF-8 (set charset in the mapping)")
	}
	return body, nil
}

func utf8BOM() []byte { return []byte{0xEF, 0xBB, 0xBF} }

func declaredCharset(body []byte, format, contentType string) string {
	if format == formatXML && bytes.HasPrefix(body, []byte("<?xml")) {
		if prolog, _, ok := bytes.Cut(body, []byte("?>")); ok {
			if _, rest, ok := strings.Cut(string(prolog), "encoding="); ok && len(rest) > 2 {
				if name, _, ok := strings.Cut(rest[1:], rest[:1]); ok {
					return name
				}
			}
		}
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}
	return params["charset"]
}

// looksLikeHTML tells a web page served in place of data.
func looksLikeHTML(body []byte) bool {
	head := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}
