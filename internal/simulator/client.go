package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Ledger is a copy of a simulator's ledger, taken over HTTP.
type Ledger struct {
	Run     string
	Evicted int64 // entries dropped before they could be read
	Entries []Entry
}

// FetchLedger reads the whole ledger of the simulator at a base URL such as
// http://127.0.0.1:8080, without bodies. Entries that begin while it reads may
// be missing.
func FetchLedger(ctx context.Context, baseURL string) (Ledger, error) {
	var out Ledger
	for from := int64(1); ; {
		var page LedgerPage
		query := "/ledger?limit=" + strconv.Itoa(maxPage) + "&from=" + strconv.FormatInt(from, 10)
		if err := call(ctx, http.MethodGet, baseURL+query, nil, &page); err != nil {
			return Ledger{}, fmt.Errorf("fetching the ledger: %w", err)
		}
		out.Run, out.Evicted = page.Run, page.Evicted
		out.Entries = append(out.Entries, page.Entries...)
		if len(page.Entries) == 0 {
			return out, nil
		}
		from = page.Next
	}
}

// FetchSummary reads the counts of the simulator at a base URL.
func FetchSummary(ctx context.Context, baseURL string) (Summary, error) {
	var out Summary
	if err := call(ctx, http.MethodGet, baseURL+"/ledger/summary", nil, &out); err != nil {
		return Summary{}, fmt.Errorf("fetching the ledger's summary: %w", err)
	}
	return out, nil
}

// SendControl asks the simulator at a base URL for what c says.
func SendControl(ctx context.Context, baseURL string, c Control) (ControlResult, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return ControlResult{}, fmt.Errorf("writing control: %w", err)
	}
	var out ControlResult
	if err := call(ctx, http.MethodPost, baseURL+"/control", body, &out); err != nil {
		return ControlResult{}, fmt.Errorf("controlling the simulator: %w", err)
	}
	return out, nil
}

func call(ctx context.Context, method, url string, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking %q: %w", url, err)
	}
	r.Header.Set("Content-Type", typeJSON)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("asking %q: %w", url, err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end or given up
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return fmt.Errorf("asking %q: status %d: %s", url, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of %q: %w", url, err)
	}
	return nil
}
