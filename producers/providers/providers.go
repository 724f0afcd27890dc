// Package providers holds the presets: one YAML file for each provider, with
// its endpoints (how to ask, how often it makes sense, how the answer is
// mapped), its terms, and the symbols it calls our instruments by. Adding a
// provider is adding a file; docs/catalog.md says what goes into it.
package providers

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
)

//go:embed *.yaml
var files embed.FS

// Provider is one source of prices.
type Provider struct {
	ID   string `yaml:"provider"`
	Name string `yaml:"name"`
	// BaseURL is scheme and host, perhaps with a path, before every Path.
	BaseURL  string `yaml:"base_url"`
	TermsURL string `yaml:"terms_url"`
	// Attribution is what the terms want named beside the data.
	Attribution string `yaml:"attribution"`
	// Redistribution is what the terms allow: attribution (free when the source
	// is named) or restricted (for the user's own use).
	Redistribution string `yaml:"redistribution"`
	// RetentionDays of the answers' bodies; 0 is the lake's default.
	RetentionDays int32              `yaml:"retention_days"`
	Headers       config.Map[string] `yaml:"headers"`
	// Symbols are what the provider calls our instruments.
	Symbols   Symbols              `yaml:"symbols"`
	Endpoints config.Map[Endpoint] `yaml:"endpoints"`
}

// Endpoint is one kind of call of a provider. In Path and in the values of
// Query, Headers and Body, {symbol} and {symbols} stand for what the call asks
// for, {contact} for how to reach the user, and any other {name} for a
// parameter of the call.
type Endpoint struct {
	Description string             `yaml:"description"`
	BaseURL     string             `yaml:"base_url"` // instead of the provider's
	Method      string             `yaml:"method"`   // GET by default
	Path        string             `yaml:"path"`
	Query       config.Map[string] `yaml:"query"`
	Headers     config.Map[string] `yaml:"headers"` // added to the provider's
	Body        string             `yaml:"body"`
	// Join is how several symbols are written: a separator, or json for a JSON
	// array.
	Join string `yaml:"join"`
	// Batch is how many symbols a call can ask for; 1 is one call a symbol, 0
	// an answer that holds all there are, whatever is asked.
	Batch    int             `yaml:"batch"`
	Schedule Schedule        `yaml:"schedule"` // how often the source is worth asking
	Timeout  time.Duration   `yaml:"timeout"`
	MaxBody  int64           `yaml:"max_body"`
	Symbols  Symbols         `yaml:"symbols"` // instead of the provider's
	Mapping  mapping.Mapping `yaml:"mapping"`
}

// Symbols are a provider's symbols in order. One symbol may stand for several
// instruments, one after the other.
type Symbols = config.Map[config.List[Symbol]]

// Symbol says which instrument a provider's symbol stands for.
type Symbol struct {
	Instrument string `yaml:"instrument,shorthand"`
	// Aliases are other spellings in answers.
	Aliases []string `yaml:"aliases,oneormany"`
	// Factor multiplies the values, where it is not the instrument's.
	Factor    *schemas.Decimal `yaml:"factor"`
	ValidFrom *schemas.Date    `yaml:"valid_from"`
	ValidTo   *schemas.Date    `yaml:"valid_to"`
}

// Schedule says when to call: Every, or Cron in Zone.
type Schedule struct {
	Every time.Duration `yaml:"every"`
	// Cron has five fields: minute, hour, day of month, month, day of week.
	Cron string `yaml:"cron"`
	Zone string `yaml:"zone"`
	// Catchup says what to do about slots missed while nothing ran: none (the
	// default of every) or latest (of cron).
	Catchup string `yaml:"catchup"`
}

// Set is all presets by provider id. It is read-only.
type Set map[string]*Provider

// Load reads the embedded presets. An error is a fault of the build.
func Load() (Set, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("listing the presets: %w", err)
	}
	set := Set{}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading preset %q: %w", entry.Name(), err)
		}
		p, err := parse(entry.Name(), text)
		if err != nil {
			return nil, fmt.Errorf("reading preset %q: %w", entry.Name(), err)
		}
		set[p.ID] = p
	}
	return set, nil
}

func parse(name string, text []byte) (*Provider, error) {
	doc, err := config.ParseYAML(name, text)
	if err != nil {
		return nil, err
	}
	p := new(Provider)
	if problems := doc.Decode(p); len(problems) > 0 {
		return nil, problems
	}
	if p.ID != strings.TrimSuffix(name, ".yaml") {
		return nil, fmt.Errorf("the file is not named after its provider %q", p.ID)
	}
	return p, nil
}

// Find returns the endpoint of a preset name such as kraken/ticker.
func (s Set) Find(name string) (*Provider, *Endpoint, bool) {
	id, endpoint, _ := strings.Cut(name, "/")
	p, ok := s[id]
	if !ok {
		return nil, nil, false
	}
	for i := range p.Endpoints {
		if p.Endpoints[i].Key == endpoint {
			return p, &p.Endpoints[i].Value, true
		}
	}
	return nil, nil, false
}

// Names returns the names of all presets in order.
func (s Set) Names() []string {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(s)) {
		for _, e := range s[id].Endpoints {
			names = append(names, id+"/"+e.Key)
		}
	}
	return names
}

// SymbolsOf returns the symbols an endpoint knows.
func (p *Provider) SymbolsOf(e *Endpoint) Symbols {
	if len(e.Symbols) > 0 {
		return e.Symbols
	}
	return p.Symbols
}
