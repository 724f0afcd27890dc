package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// loadState applies the restatements of an earlier run, if there is a StateFile.
func (s *Server) loadState() error {
	if s.cfg.StateFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.cfg.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the simulator's state: %w", err)
	}
	var saved []Restatement
	if err := json.Unmarshal(text, &saved); err != nil {
		return fmt.Errorf("reading the simulator's state %q: delete the file to begin anew: %w", s.cfg.StateFile, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range saved {
		bank := s.world.bankOf(r.Bank)
		if bank == nil {
			return fmt.Errorf("reading the simulator's state %q: no bank %q; delete the file to begin anew", s.cfg.StateFile, r.Bank)
		}
		want, err := bank.check(r.Symbol, r.ValueDate, r.New, s.world.now())
		if err != nil {
			return fmt.Errorf("reading the simulator's state %q: delete the file to begin anew: %w", s.cfg.StateFile, err)
		}
		bank.set(want.currency, want.day, want.units)
	}
	s.saved = saved
	return nil
}

// keepState adds a restatement to the StateFile, if there is one. A failure is
// logged: the demo goes on, and takes the restatement back after a restart.
func (s *Server) keepState(r Restatement) {
	if s.cfg.StateFile == "" {
		return
	}
	kept := s.saved[:0]
	for _, old := range s.saved {
		if old.Bank != r.Bank || old.Symbol != r.Symbol || old.ValueDate != r.ValueDate {
			kept = append(kept, old)
		}
	}
	s.saved = append(kept, r)
	if err := replaceFile(s.cfg.StateFile, s.saved); err != nil {
		s.log.Warn("keeping a restated fixing", "err", err)
	}
}

// replaceFile writes v as JSON so that a reader meets the old file or the new.
func replaceFile(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
