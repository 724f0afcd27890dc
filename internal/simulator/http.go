package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// Bounds of a page of the ledger.
const (
	defaultPage = 200
	maxPage     = 1000
)

func (s *Server) serveLedger(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	from, err := number(values.Get("from"), 1)
	if err != nil {
		http.Error(w, fmt.Sprintf("reading from: %v", err), http.StatusBadRequest)
		return
	}
	limit, err := number(values.Get("limit"), defaultPage)
	if err != nil {
		http.Error(w, fmt.Sprintf("reading limit: %v", err), http.StatusBadRequest)
		return
	}
	writeJSON(w, s.ledger.page(from, int(min(limit, maxPage)), values.Get("body") == "true"))
}

func (s *Server) serveSummary(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, s.ledger.summary())
}

// Summary is what GET /ledger/summary answers.
func (s *Server) Summary() Summary { return s.ledger.summary() }

func number(text string, otherwise int64) (int64, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no count: write a whole number such as 100", text)
	}
	return n, nil
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", typeJSON)
	_ = json.NewEncoder(w).Encode(v) // the reader has gone; nobody to tell
}
