package mapping

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/pricelake/pricelake/schemas"
)

func TestJSONIsStrict(t *testing.T) {
	good := []string{`{}`, `[]`, ` [ 1 , -0.5e+10 , "a\u00e9\ud83d\ude00\n" , true,false,null ] `, `"x"`, `0`, `{"a":{"a":1}}`, `1E5`}
	for _, text := range good {
		got, err := parseJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		a, _ := gojq.Marshal(got)
		b, _ := gojq.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s: %s, want %s", text, a, b)
		}
	}
	bad := []string{``, ` `, `{`, `[`, `{"a"`, `{"a":`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a" 1}`, `{a:1}`, `01`, `1.`, `.5`, `-`, `+1`, `1e`, `1e+`, `tru`, `nul`, `NaN`, `Infinity`,
		`"`, `"\`, `"\u12`, `"\x"`, "\"\x01\"", `"\ud800"`, `"\ud800\u0041"`, `{"a":1}{`, `1 1`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `'a'`, `"\u00zz"`, `"\ud83d`, "\"\\n\x02\""}
	for _, text := range bad {
		if v, err := parseJSON([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

// A text ends at its first quote, backslash or control character, wherever that is
// among the eight bytes that are looked at together, and whatever follows it.
func TestPlainBytes(t *testing.T) {
	for ends := range 256 {
		for at := range 20 {
			for _, around := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
				text := bytes.Repeat([]byte{around}, 24)
				text[at], text[at+2] = byte(ends), '"'
				want := at + 2
				if c := byte(ends); c == '"' || c == '\\' || c < ' ' {
					want = at
				}
				if n := plainBytes(text); n != want {
					t.Fatalf("%d plain bytes of %q, want %d", n, text, want)
				}
			}
		}
	}
	for n := range 20 {
		if got := plainBytes(bytes.Repeat([]byte{'a'}, n)); got != n {
			t.Errorf("%d plain bytes of %d", got, n)
		}
	}
}

func TestXMLTree(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := parseXML([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		out, _ := gojq.Marshal(got)
		if string(out) != want {
			t.Errorf("%s\n got %s\nwant %s", text, out, want)
		}
	}
	f(`<r/>`, `{"r":{}}`)
	f(`<?xml version="1.0"?><!-- c --><r a="1" xmlns:x="u" xmlns="v"><x:b>1</x:b><b> 2 &amp; 3 </b><c d='4'>t</c></r>`,
		`{"r":{"@a":"1","b":[{"#text":"1"},{"#text":"2 & 3"}],"c":[{"#text":"t","@d":"4"}]}}`)
	f(`<!DOCTYPE r SYSTEM "r.dtd"><r><![CDATA[<1>]]></r>`, `{"r":{"#text":"<1>"}}`)
	bad := map[string]string{
		``:           "no element",
		`<r>`:        "EOF",
		`<r></s>`:    "closed by",
		`<r/><r/>`:   "more than one root",
		`<r/>x`:      "outside",
		`<r>&x;</r>`: "entity",
		`<!DOCTYPE r [<!ENTITY a "b">]><r>&a;</r>`: "document types",
		`<r a="1" x:a="2" xmlns:x="u"/>`:           "twice",
		strings.Repeat("<a>", 40):                  "nested",
		`<html><head></body></html>`:               "closed by",
	}
	for text, want := range bad {
		if v, err := parseXML([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, error %v, want one with %q", text, v, err, want)
		}
	}
}

func TestCSVTree(t *testing.T) {
	f := func(l csvLayout, text, want string) {
		t.Helper()
		if l.delimiter == 0 {
			l.delimiter = ','
		}
		got, err := parseCSV([]byte(text), l)
		if err != nil {
			if !strings.HasPrefix(want, "!") || !strings.Contains(err.Error(), want[1:]) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
			return
		}
		out, _ := gojq.Marshal(got)
		if string(out) != want {
			t.Errorf("%q\n got %s\nwant %s", text, out, want)
		}
	}
	f(csvLayout{header: 1}, "a,b\r\n1,\"x,\"\"y\"\n\n", `{"columns":["a","b"],"preamble":[],"rows":[{"a":"1","b":"x,\"y"}]}`)
	f(csvLayout{header: 2, delimiter: '|'}, "05.04.2016 #65\r\nk|v\nA|1\n", `{"columns":["k","v"],"preamble":["05.04.2016 #65"],"rows":[{"k":"A","v":"1"}]}`)
	f(csvLayout{header: 0, columns: []string{"t", "v"}, unterminated: true}, "1,2\n3,4", `{"columns":["t","v"],"preamble":[],"rows":[{"t":"1","v":"2"},{"t":"3","v":"4"}]}`)
	f(csvLayout{header: 1, trim: true}, "Date, USD, \n13 April 2026, 1.2, \n", `{"columns":["Date","USD",""],"preamble":[],"rows":[{"Date":"13 April 2026","USD":"1.2"}]}`)
	f(csvLayout{header: 1, skip: 1, comment: '#'}, "a\n#c\nunits\n1\n", `{"columns":["a"],"preamble":[],"rows":[{"a":"1"}]}`)
	f(csvLayout{header: 1, ragged: true}, "a,b\n1\n1,2,3\n", `{"columns":["a","b"],"preamble":[],"rows":[{"a":"1"},{"a":"1","b":"2"}]}`)
	f(csvLayout{header: 1, delimiter: '\t', trim: true}, "a\tb\n\t2\n", `{"columns":["a","b"],"preamble":[],"rows":[{"a":"","b":"2"}]}`)
	f(csvLayout{header: 1, lazyQuotes: true}, "a\nx \"y\" z\n", `{"columns":["a"],"preamble":[],"rows":[{"a":"x \"y\" z"}]}`)
	f(csvLayout{header: 1}, "a,b\n1\n", "!1 values for 2 columns")
	f(csvLayout{header: 1}, "a,b\n1,2", "!middle of a line")
	f(csvLayout{header: 1}, "a,a\n1,2\n", "!twice")
	f(csvLayout{header: 1, columns: []string{"a", "b"}}, "a,c\n1,2\n", "!expected")
	f(csvLayout{header: 3}, "a\n", "!should stand on line 3")
	f(csvLayout{header: 1}, "<!DOCTYPE html>\n", "!a tag")
	f(csvLayout{header: 1}, "a\n\"1\n", "!quote")
}

func TestCharsets(t *testing.T) {
	want := "země ő"
	latin2, _ := charmap.ISO8859_2.NewEncoder().String(want)
	utf16, _ := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(want)
	f := func(charset, format, contentType, body, want string) {
		t.Helper()
		m := mapped(t, `{"price": ".p", "format": "`+format+`", "charset": "`+charset+`"}`)
		p := compiled(t, m, symbolsOf("A")...)
		got, err := toUTF8([]byte(body), p.charset, p.format, contentType)
		if (err != nil) != (want == "") || err == nil && string(got) != want {
			t.Errorf("charset %q, %s, %q: %q, error %v", charset, format, contentType, got, err)
		}
	}
	f("", "csv", "", want, want)
	f("", "csv", "", "\xef\xbb\xbf"+want, want)
	f("", "csv", "text/csv; charset=ISO-8859-2", latin2, want)
	f("iso-8859-2", "csv", "text/csv; charset=utf-8", latin2, want)
	f("", "csv", "", utf16, want)
	f("", "csv", "", latin2, "")
	f("", "csv", "text/csv; charset=nonsense", want, "")
	f("", "json", "application/json; charset=iso-8859-1", want, want)
	f("", "xml", "text/xml", `<?xml version="1.0" encoding="iso-8859-2"?><r>`+latin2, `<?xml version="1.0" encoding="iso-8859-2"?><r>`+want)
}

// TestReadXMLAndCSV reads whole answers of both, one with everything they can
// have.
func TestReadXMLAndCSV(t *testing.T) {
	xml := compiled(t, mapped(t, `{"format": "xml", "rows": [".R.D[]", ".V[]"], "symbol": ".[\"@c\"]", "price": ".X[0][\"#text\"]", "lot": ".N[0][\"#text\"]",
		"number": {"decimal": ","}, "value_date": {"path": "$up[\"@d\"]", "format": "%d.%m.%Y"}}`), symbolsOf("A", "B")...)
	body, _ := charmap.Windows1251.NewEncoder().String(`<?xml version="1.0" encoding="windows-1251"?><R><D d="01.03.2026"><V c="A"><Имя>рубль</Имя><N>10</N><X>12,5</X></V>` +
		`<V c="B"><N>1</N><X>N/A</X></V></D><D d="02.03.2026"><V c="A"><N>10</N><X>12,6</X></V></D></R>`)
	r := xml.Read(answer(body))
	if got, want := summary(r), "partial A 1.25; A 1.26; A=valued B=absent"; got != want {
		t.Errorf("got %s, want %s: %s", got, want, r.Error)
	}
	if r.Prices[1].ValueDate.String() != "2026-03-02" {
		t.Errorf("value date %v", r.Prices[1].ValueDate)
	}
	csv := compiled(t, mapped(t, `{"format": "csv", "csv": {"delimiter": ";"}, "rows": [".rows[]", "to_entries[] | select(.key != \"D\")"], "symbol": ".key", "price": ".value", "value_date": {"path": "$up.D"}}`), symbolsOf("A", "B")...)
	if got, want := summary(csv.Read(answer("D;A;B\n2026-03-01;1.5;\n2026-03-02;;2\n"))), "valued A 1.5; B 2; A=valued B=valued"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r := csv.Read(answer("D;A;B\n")); r.Outcome != schemas.PollUnparsable {
		t.Errorf("a table without rows: %v", r.Outcome)
	}
}
