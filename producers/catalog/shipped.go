package catalog

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/schemas"
)

//go:embed shipped/instruments.yaml
var instrumentsText []byte

//go:embed shipped/default.yaml
var defaultText []byte

//go:embed shipped/demo.yaml
var demoText string

// simulatorPlace is what stands for the simulator's address in demo.yaml.
const simulatorPlace = "http://simulator.invalid"

// Default returns the shipped catalog: public APIs that want no key, at polite
// intervals.
func Default() (*Catalog, error) {
	c, err := Parse(DefaultSource())
	if err != nil {
		return nil, fmt.Errorf("reading the shipped catalog: %w", err)
	}
	return c, nil
}

// Demo returns the catalog of the demo: the same providers, served by a
// simulator at the URL, much more often.
func Demo(simulatorURL string) (*Catalog, error) {
	c, err := Parse(DemoSource(simulatorURL))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog of the demo: %w", err)
	}
	return c, nil
}

// DefaultText returns the file of the shipped catalog, a start for one's own.
func DefaultText() []byte { return append([]byte(nil), defaultText...) }

// DefaultSource is the shipped catalog as a file, to be read with others.
func DefaultSource() Source { return Source{Name: "default.yaml", Text: DefaultText()} }

// DemoSource is the catalog of the demo as a file, to be read with others.
func DemoSource(simulatorURL string) Source {
	text := strings.ReplaceAll(demoText, simulatorPlace, strings.TrimRight(simulatorURL, "/"))
	return Source{Name: "demo.yaml", Text: []byte(text)}
}

type setYAML struct {
	AssetClass string `yaml:"asset_class"`
	Unit       string `yaml:"unit"`
	// Pairs are ids of the form BASE-QUOTE, perhaps with a unit after it.
	Pairs []string `yaml:"pairs"`
}

// shippedInstruments reads the sets that include_instruments can name.
func shippedInstruments() (map[string][]schemas.InstrumentDefined, error) {
	doc, err := config.ParseYAML("instruments.yaml", instrumentsText)
	if err != nil {
		return nil, fmt.Errorf("reading the shipped instruments: %w", err)
	}
	var in struct {
		Sets config.Map[setYAML] `yaml:"sets"`
	}
	if problems := doc.Decode(&in); len(problems) > 0 {
		return nil, fmt.Errorf("reading the shipped instruments: %w", problems)
	}
	sets := map[string][]schemas.InstrumentDefined{}
	for _, e := range in.Sets {
		for _, line := range e.Value.Pairs {
			for id := range strings.FieldsSeq(line) {
				parts := strings.SplitN(id, "-", 3)
				if len(parts) < 2 {
					return nil, fmt.Errorf("reading the shipped instruments: %q is no pair", id)
				}
				sets[e.Key] = append(sets[e.Key], schemas.InstrumentDefined{Instrument: id, AssetClass: e.Value.AssetClass,
					Base: parts[0], Quote: parts[1], Unit: e.Value.Unit, MinorUnitFactor: schemas.DecimalFromInt64(1)})
			}
		}
	}
	return sets, nil
}
