// Package catalog reads catalogs: YAML files that say which price APIs to call,
// when, and how their answers become prices. A catalog becomes self-contained
// records, InstrumentDefined and CallDefined, which `catalog apply` publishes;
// everything downstream knows only those.
//
// Reading is strict and complete: everything wrong in all files is reported at
// once, each with file, line and what to write instead, and nothing is taken
// from a catalog with a problem.
package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

// Catalog is a checked catalog. DefinedAt of its records is unset; Stamp sets
// it.
type Catalog struct {
	Instruments []schemas.InstrumentDefined // declared ones, then included ones that a call uses
	Calls       []schemas.CallDefined       // in order of the files
}

// Source is one file of a catalog.
type Source struct {
	Name string // for messages
	Text []byte
}

// Load reads catalog files. Instruments of any file are known in all of them;
// everything else counts for its own file. The error, when the files are wrong,
// is config.Problems.
func Load(paths ...string) (*Catalog, error) { return LoadWith(nil, paths...) }

// LoadWith reads catalog files together with sources that are in memory, which
// count as the first of them.
func LoadWith(first []Source, paths ...string) (*Catalog, error) {
	sources := slices.Clone(first)
	var problems config.Problems
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, config.Problem{File: path, Line: 1, Column: 1,
				Message: fmt.Sprintf("reading the file: %v", err), Hint: "write the path of a catalog file"})
			continue
		}
		sources = append(sources, Source{Name: path, Text: text})
	}
	return parse(sources, problems)
}

// Parse reads a catalog from memory, as Load does from files.
func Parse(sources ...Source) (*Catalog, error) { return parse(sources, nil) }

func parse(sources []Source, problems config.Problems) (*Catalog, error) {
	presets, err := providers.Load()
	if err != nil {
		return nil, err
	}
	shipped, err := shippedInstruments()
	if err != nil {
		return nil, err
	}
	b := &builder{presets: presets, shipped: shipped, problems: problems,
		instruments: map[string]schemas.InstrumentDefined{}, instrumentAt: map[string]string{}, callAt: map[string]string{}}
	files := b.decode(sources)
	for _, f := range files {
		b.instrumentsOf(f)
	}
	for _, f := range files {
		b.callsOf(f)
	}
	if len(b.problems) > 0 {
		return nil, b.problems.Sort()
	}
	b.takeIncluded()
	return &b.out, nil
}

// Call returns the call with the id.
func (c *Catalog) Call(id string) (*schemas.CallDefined, bool) {
	for i := range c.Calls {
		if c.Calls[i].CallID == id {
			return &c.Calls[i], true
		}
	}
	return nil, false
}

// CallIDs returns the ids of all calls in order.
func (c *Catalog) CallIDs() []string {
	ids := make([]string, len(c.Calls))
	for i := range c.Calls {
		ids[i] = c.Calls[i].CallID
	}
	return ids
}

// Stamp sets DefinedAt of every record, before they are published.
func (c *Catalog) Stamp(at time.Time) {
	at = at.UTC().Truncate(time.Microsecond)
	for i := range c.Instruments {
		c.Instruments[i].DefinedAt = at
	}
	for i := range c.Calls {
		c.Calls[i].DefinedAt = at
	}
}

// versionOf is the hash of everything a call says but when it was defined.
func versionOf(call schemas.CallDefined) (string, error) {
	call.Version, call.DefinedAt = "", time.Time{}
	text, err := json.Marshal(call)
	if err != nil {
		return "", fmt.Errorf("hashing call %q: %w", call.CallID, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}
