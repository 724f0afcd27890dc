package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/producers/providers"
	"github.com/pricelake/pricelake/schemas"
)

// The shape of a catalog file. docs/catalog.md explains every key.
type fileYAML struct {
	// Version of the format: 1.
	Version int `yaml:"version"`
	// Contact is told to the providers in User-Agent: an address or a mail.
	Contact string `yaml:"contact"`
	// BaseURLs replace the base URL of presets, by provider.
	BaseURLs config.Map[string] `yaml:"base_urls"`
	// IncludeInstruments names shipped sets of instruments to take in.
	IncludeInstruments []string         `yaml:"include_instruments,oneormany"`
	Instruments        []instrumentYAML `yaml:"instruments"`
	Calls              []callYAML       `yaml:"calls"`
}

type instrumentYAML struct {
	ID              string           `yaml:"id"`
	AssetClass      string           `yaml:"asset_class"`
	Base            string           `yaml:"base"`
	Quote           string           `yaml:"quote"`
	Unit            string           `yaml:"unit"`
	MinorUnitFactor *schemas.Decimal `yaml:"minor_unit_factor"`
	Calendar        string           `yaml:"calendar"`
	Description     string           `yaml:"description"`
}

type callYAML struct {
	ID      string `yaml:"id"`
	Enabled *bool  `yaml:"enabled"` // true by default
	// Preset is provider/endpoint. Without one Provider, Request and Mapping say
	// it all.
	Preset   string             `yaml:"preset"`
	Provider string             `yaml:"provider"`
	Account  string             `yaml:"account"` // whose rate limit it uses; the provider by default
	BaseURL  string             `yaml:"base_url"`
	Params   config.Map[string] `yaml:"params"` // for the preset's {name}
	Request  *requestYAML       `yaml:"request"`
	Symbols  providers.Symbols  `yaml:"symbols"`

	Schedule   providers.Schedule `yaml:"schedule"`
	Timeout    time.Duration      `yaml:"timeout"`
	Attempts   *int32             `yaml:"attempts"`
	Backoff    *time.Duration     `yaml:"backoff"`
	MaxBackoff *time.Duration     `yaml:"max_backoff"`
	MaxBody    size               `yaml:"max_body"`

	Mapping        *mapping.Mapping `yaml:"mapping"`
	RetentionDays  *int32           `yaml:"retention_days"`
	TermsURL       string           `yaml:"terms_url"`
	Attribution    string           `yaml:"attribution"`
	Redistribution string           `yaml:"redistribution"`
}

type requestYAML struct {
	Method  string             `yaml:"method"`
	URL     string             `yaml:"url"`
	Query   config.Map[string] `yaml:"query"`
	Headers config.Map[string] `yaml:"headers"`
	Body    string             `yaml:"body"`
	Join    string             `yaml:"join"`
}

// size is a number of bytes, written 500000, 512KiB or 4MiB.
type size int64

// UnmarshalText reads a size.
func (s *size) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(n), bytes
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return fmt.Errorf("%q is no size: write a number of bytes, or one with KiB or MiB such as 512KiB", string(text))
	}
	*s = size(n * unit)
	return nil
}
