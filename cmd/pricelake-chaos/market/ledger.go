package market

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Ledger is everything the API has said.
type Ledger struct {
	World World
	Calls [][]Answer // by call, in the order they were made
}

// Answer returns an answer by its name; ok is false when the API never gave it.
func (l *Ledger) Answer(call, number int) (a Answer, ok bool) {
	if call < 0 || call >= len(l.Calls) || number < 0 || number >= len(l.Calls[call]) {
		return a, false
	}
	return l.Calls[call][number], true
}

// WriteFile writes the ledger as JSON: the world on the first line, then an
// answer a line.
func (l *Ledger) WriteFile(name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	out := json.NewEncoder(w)
	if err := out.Encode(l.World); err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	for _, answers := range l.Calls {
		for _, a := range answers {
			if err := out.Encode(a); err != nil {
				return fmt.Errorf("writing the ledger: %w", err)
			}
		}
	}
	return w.Flush()
}

// ReadFile reads what WriteFile wrote.
func ReadFile(name string) (*Ledger, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := json.NewDecoder(bufio.NewReader(f))
	l := &Ledger{}
	if err := in.Decode(&l.World); err != nil {
		return nil, fmt.Errorf("reading the ledger %q: %w", name, err)
	}
	l.Calls = make([][]Answer, max(0, l.World.Calls))
	for {
		var a Answer
		err := in.Decode(&a)
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the ledger %q: %w", name, err)
		}
		if a.Call < 0 || a.Call >= len(l.Calls) || a.Number != len(l.Calls[a.Call]) {
			return nil, fmt.Errorf("reading the ledger %q: answer %d of call %d is out of order", name, a.Number, a.Call)
		}
		l.Calls[a.Call] = append(l.Calls[a.Call], a)
	}
}
