package catalog

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

// builder makes the records out of decoded files and collects what is wrong.
type builder struct {
	presets  providers.Set
	shipped  map[string][]schemas.InstrumentDefined
	problems config.Problems

	instruments  map[string]schemas.InstrumentDefined
	instrumentAt map[string]string // id → file:line
	callAt       map[string]string
	included     []schemas.InstrumentDefined // by include_instruments
	out          Catalog
}

// file is one decoded file.
type file struct {
	doc  *config.Document
	yaml fileYAML
	// wrong are the paths that could not be decoded: what follows from them is
	// not reported again.
	wrong []string
}

func (b *builder) decode(sources []Source) []*file {
	var files []*file
	for _, src := range sources {
		doc, err := config.ParseYAML(src.Name, src.Text)
		if err != nil {
			b.add(err)
			continue
		}
		f := &file{doc: doc}
		problems := doc.Decode(&f.yaml)
		for _, p := range problems {
			f.wrong = append(f.wrong, p.Path)
		}
		b.problems = append(b.problems, problems...)
		if doc.Empty() {
			b.problem(f, "the file is empty", "write instruments and calls; docs/catalog.md has examples")
		}
		if v := f.yaml.Version; v != 0 && v != 1 {
			b.problem(f, fmt.Sprintf("version %d of the format is unknown", v), "write version: 1", "version")
		}
		files = append(files, f)
	}
	return files
}

func (b *builder) add(err error) {
	if ps, ok := err.(config.Problems); ok { //nolint:errorlint // ParseYAML returns it unwrapped
		b.problems = append(b.problems, ps...)
	}
}

// problem reports a mistake at a path, unless something at, above or below that
// path could not even be decoded.
func (b *builder) problem(f *file, message, hint string, path ...any) {
	at := config.PathText(path...)
	for _, wrong := range f.wrong {
		if wrong == at || strings.HasPrefix(wrong, at+".") || strings.HasPrefix(wrong, at+"[") ||
			strings.HasPrefix(at, wrong+".") || strings.HasPrefix(at, wrong+"[") {
			return
		}
	}
	b.problems = append(b.problems, f.doc.Problem(message, hint, path...))
}

func place(f *file, path ...any) string {
	line, _ := f.doc.Position(path...)
	return fmt.Sprintf("%s:%d", f.doc.File(), line)
}

func assetClasses() []string {
	return []string{"crypto", "fx", "equity", "fund", "bond", "commodity", "metal", "index", "rate", "other"}
}

var (
	instrumentID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._/+-]{0,63}$`)
	callID       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)
	unitOfMoney  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:+-]{0,31}$`)
)

// instrumentsOf takes in the instruments of one file.
func (b *builder) instrumentsOf(f *file) {
	for i, name := range f.yaml.IncludeInstruments {
		set, ok := b.shipped[name]
		if !ok {
			b.problem(f, fmt.Sprintf("there is no shipped set of instruments %q", name),
				config.DidYouMean(name, sortedKeys(b.shipped)), "include_instruments", i)
			continue
		}
		for _, in := range set {
			if _, ok := b.instruments[in.Instrument]; !ok {
				b.instruments[in.Instrument] = in
				b.instrumentAt[in.Instrument] = place(f, "include_instruments", i)
				b.included = append(b.included, in)
			}
		}
	}
	for i := range f.yaml.Instruments {
		b.instrument(f, i)
	}
}

// takeIncluded adds those of the included instruments that a call uses.
func (b *builder) takeIncluded() {
	used := map[string]bool{}
	for i := range b.out.Calls {
		for _, s := range b.out.Calls[i].Symbols {
			used[s.Instrument] = true
		}
	}
	for _, in := range b.included {
		if used[in.Instrument] {
			b.out.Instruments = append(b.out.Instruments, in)
		}
	}
}

func (b *builder) instrument(f *file, i int) {
	in := &f.yaml.Instruments[i]
	report := func(message, hint, key string) { b.problem(f, message, hint, "instruments", i, key) }
	if !instrumentID.MatchString(in.ID) {
		report(fmt.Sprintf("the id %q is not a proper name", in.ID), "write one such as BTC-USD or XNAS:MSFT, without blanks", "id")
	} else if at, twice := b.instrumentAt[in.ID]; twice {
		report(fmt.Sprintf("the instrument %s is already defined at %s", in.ID, at), "keep one of them", "id")
	}
	if !slices.Contains(assetClasses(), in.AssetClass) {
		report(fmt.Sprintf("unknown asset class %q", in.AssetClass), config.DidYouMean(in.AssetClass, assetClasses()), "asset_class")
	}
	if !unitOfMoney.MatchString(in.Base) {
		report("the base is missing or no proper name", "write what is priced, such as BTC, EUR or MSFT", "base")
	}
	if !unitOfMoney.MatchString(in.Quote) {
		report("the quote is missing or no proper name", "write the currency of the price, such as USD", "quote")
	}
	factor := schemas.DecimalFromInt64(1)
	if in.MinorUnitFactor != nil {
		if factor = *in.MinorUnitFactor; factor.Sign() <= 0 {
			report("the factor is not above zero", "write 0.01 where the source quotes pence, else leave it out", "minor_unit_factor")
		}
	}
	if _, twice := b.instrumentAt[in.ID]; twice || in.ID == "" {
		return
	}
	b.instruments[in.ID] = schemas.InstrumentDefined{Instrument: in.ID, AssetClass: in.AssetClass, Base: in.Base, Quote: in.Quote,
		Unit: in.Unit, MinorUnitFactor: factor, Calendar: in.Calendar, Description: in.Description}
	b.instrumentAt[in.ID] = place(f, "instruments", i, "id")
	b.out.Instruments = append(b.out.Instruments, b.instruments[in.ID])
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
