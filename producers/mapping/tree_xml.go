package mapping

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseXML turns an XML document into a tree. The document is an object with
// the root element's name; an element is an object with its attributes as
// "@name", its text as "#text" and its children by name, each name a list,
// however many there are: a feed with one row reads like a feed with ten.
// Prefixes of namespaces are dropped.
//
// Entities other than the five of XML itself are an error, and so is a document
// type with declarations of its own.
func parseXML(text []byte) (any, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 already
	p := &xmlParser{dec: dec}
	if err := p.document(); err != nil {
		return nil, fmt.Errorf("not XML: %w", err)
	}
	return p.doc, nil
}

type xmlParser struct {
	dec    *xml.Decoder
	doc    map[string]any
	open   []xmlElement
	values int
}

type xmlElement struct {
	name   string
	object map[string]any
	text   []byte
}

func (p *xmlParser) document() error {
	for {
		token, err := p.dec.Token()
		switch {
		case errors.Is(err, io.EOF) && p.doc != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("there is no element")
		case err != nil:
			return err
		}
		switch t := token.(type) {
		case xml.Directive:
			if bytes.ContainsAny(t, "[") {
				return errors.New("document types with declarations are not read")
			}
		case xml.StartElement:
			if err := p.start(t); err != nil {
				return err
			}
		case xml.CharData:
			if len(p.open) > 0 {
				top := &p.open[len(p.open)-1]
				top.text = append(top.text, t...)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("there is text outside the root element")
			}
		case xml.EndElement:
			p.end()
		}
	}
}

func (p *xmlParser) start(t xml.StartElement) error {
	switch {
	case len(p.open) == 0 && p.doc != nil:
		return errors.New("there is more than one root element")
	case len(p.open) >= maxTreeDepth/2: // an element is an object and a list
		return fmt.Errorf("it is nested deeper than %d", maxTreeDepth/2)
	}
	object := make(map[string]any, len(t.Attr)+1)
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Local == "xmlns" {
			continue
		}
		name := "@" + a.Name.Local
		if _, twice := object[name]; twice {
			return fmt.Errorf("the attribute %s stands twice in one element", name[1:])
		}
		object[name] = a.Value
	}
	if p.values += 1 + len(t.Attr); p.values > maxTreeValues {
		return fmt.Errorf("it has more than %d values", maxTreeValues)
	}
	if len(p.open) == 0 {
		p.doc = map[string]any{t.Name.Local: object}
	} else {
		parent := p.open[len(p.open)-1].object
		siblings, _ := parent[t.Name.Local].([]any)
		parent[t.Name.Local] = append(siblings, object)
	}
	p.open = append(p.open, xmlElement{name: t.Name.Local, object: object})
	return nil
}

func (p *xmlParser) end() {
	top := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	if text := strings.TrimSpace(string(top.text)); text != "" {
		top.object["#text"] = text
	}
}
