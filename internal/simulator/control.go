package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Control is the body of POST /control. All of it is done, or, when a part is
// wrong, none.
type Control struct {
	// Force asks for trouble on coming requests.
	Force []Force `json:"force,omitempty"`
	// Rates, when present, replaces all rates; {} ends all trouble.
	Rates *Rates `json:"rates,omitempty"`
	// Restate gives fixings other values from now on.
	Restate []Restate `json:"restate,omitempty"`
	// Freeze stops the market or lets it go on. While it is frozen nobody trades,
	// and every answer of an address says the same with the same source time.
	Freeze *bool `json:"freeze,omitempty"`
}

// Restate asks for another value of one fixing, in every feed that carries it.
type Restate struct {
	Provider  string `json:"provider"` // ecb, frankfurter (whose rates are the ECB's) or cnb
	Symbol    string `json:"symbol"`   // currency
	ValueDate string `json:"value_date,omitempty"`
	Value     string `json:"value"` // as the provider prints it, with a point
}

// ControlResult is what POST /control answers.
type ControlResult struct {
	Restated []Restatement `json:"restated"`
	Forced   []Force       `json:"forced"` // still waiting for a request that fits
	Rates    Rates         `json:"rates"`
	Frozen   bool          `json:"frozen"`
}

// MarshalJSON writes periods as "14s".
func (r Rates) MarshalJSON() ([]byte, error) {
	out := make(map[Trouble]string, len(r))
	for kind, every := range r {
		out[kind] = every.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads periods such as "14s" and refuses unknown kinds.
func (r *Rates) UnmarshalJSON(data []byte) error {
	var texts map[Trouble]string
	if err := json.Unmarshal(data, &texts); err != nil {
		return fmt.Errorf(`reading rates: write an object such as {"html":"10s"}: %w`, err)
	}
	out := make(Rates, len(texts))
	for kind, text := range texts {
		every, err := time.ParseDuration(text)
		if err != nil || every < 0 {
			return fmt.Errorf("reading rate %q of %s: write a period such as 10s", strconv.Quote(text), kind)
		}
		out[kind] = every
	}
	*r = out
	return out.check()
}

func (r Rates) check() error {
	for kind := range r {
		if err := kind.check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	var c Control
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&c)
	if err == nil && !errors.Is(decoder.Decode(&struct{}{}), io.EOF) {
		err = errors.New("reading control: write one JSON object")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result, err := s.Control(c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, result)
}

// Control does what POST /control does.
func (s *Server) Control(c Control) (ControlResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wants, err := s.checkControl(&c)
	if err != nil {
		return ControlResult{}, err
	}
	if c.Freeze != nil {
		s.world.freeze(*c.Freeze)
	}
	if c.Rates != nil {
		s.schedule.setRates(*c.Rates)
	}
	for _, f := range c.Force {
		s.schedule.force(f)
	}
	result := ControlResult{
		Restated: []Restatement{}, Forced: append([]Force{}, s.schedule.forced...),
		Rates: s.schedule.rates, Frozen: !s.world.frozenAt.IsZero(),
	}
	for _, want := range wants {
		restatement := want.bank.set(want.currency, want.day, want.units)
		s.keepState(restatement)
		s.ledger.restate(restatement)
		result.Restated = append(result.Restated, restatement)
	}
	return result, nil
}

// maxForced bounds the forced troubles that wait for a request.
const maxForced = 1000

func (s *Server) checkControl(c *Control) ([]wanted, error) {
	var errs []error
	if c.Rates != nil {
		errs = append(errs, c.Rates.check())
	}
	if len(s.schedule.forced)+len(c.Force) > maxForced {
		errs = append(errs, fmt.Errorf("forcing trouble: %d are waiting already, let them happen first", len(s.schedule.forced)))
	}
	for i := range c.Force {
		errs = append(errs, c.Force[i].Trouble.check())
	}
	var wants []wanted
	for _, r := range c.Restate {
		bank := s.world.bankOf(r.Provider)
		if bank == nil {
			errs = append(errs, fmt.Errorf("restating for provider %q: write ecb, frankfurter or cnb", r.Provider))
			continue
		}
		want, err := bank.check(r.Symbol, r.ValueDate, r.Value, s.world.now())
		wants, errs = append(wants, want), append(errs, err)
	}
	return wants, errors.Join(errs...)
}
