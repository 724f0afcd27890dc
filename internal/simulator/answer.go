package simulator

import (
	"net/http"
	"strconv"
	"time"
)

// answer is what is going to be served.
type answer struct {
	status      int
	contentType string
	body        []byte
	prices      []Price
	missing     []string
	errorAnswer bool
	retryAfter  int
	restatement *Restatement
	repeatOf    string
	sum         string // SHA-256 of the body, hex
	shared      bool   // body and prices are those of an earlier answer
}

// cost is the memory the ledger needs for the answer, about.
func (a *answer) cost() int64 {
	const entry, price = 600, 300
	if a.shared {
		return entry
	}
	return entry + int64(len(a.body)) + price*int64(len(a.prices))
}

// pageOfHTML is what stands between a client and an API now and then.
const pageOfHTML = `<!DOCTYPE html>
<html lang="en">
<head><title>Just a moment...</title></head>
<body><h1>Checking your browser before you continue</h1><p>This takes a few seconds.</p></body>
</html>
`

func htmlAnswer() answer {
	return answer{status: http.StatusOK, contentType: "text/html; charset=utf-8", body: []byte(pageOfHTML)}
}

// errorBodies is what a provider says with 404, 429 and 500.
type errorBodies struct {
	contentType                             string
	notFound, tooManyRequests, serverFailed string
}

func (e *errorBodies) answer(status int) answer {
	body := e.serverFailed
	switch status {
	case http.StatusNotFound:
		body = e.notFound
	case http.StatusTooManyRequests:
		body = e.tooManyRequests
	}
	return answer{status: status, contentType: e.contentType, body: []byte(body)}
}

const (
	typeJSON = "application/json; charset=utf-8"
	typeXML  = "text/xml"
	typeText = "text/plain; charset=utf-8"
)

// pace says when the parts of an answer are sent.
type pace struct {
	wait   time.Duration
	midway bool // half the body comes before the wait, else nothing does
}

// write sends the answer and reports whether all of it was handed to the
// kernel. The wait ends with the request's context.
func (a *answer) write(w http.ResponseWriter, r *http.Request, id string, p pace) (whole bool) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("Cache-Control", "no-store")
	h.Set(HeaderID, id)
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	controller := http.NewResponseController(w)
	rest := a.body
	if p.midway {
		half := len(rest) / 2
		w.WriteHeader(a.status)
		if !send(w, controller, rest[:half]) {
			return false
		}
		rest = rest[half:]
	}
	if p.wait > 0 && !sleep(r, p.wait) {
		if !p.midway {
			hangUp(controller)
		}
		return false
	}
	if !p.midway {
		w.WriteHeader(a.status)
	}
	return send(w, controller, rest)
}

func send(w http.ResponseWriter, controller *http.ResponseController, part []byte) bool {
	if _, err := w.Write(part); err != nil {
		return false
	}
	return controller.Flush() == nil
}

// hangUp closes the connection, so that a client that still listens does not
// take an empty answer for a whole one.
func hangUp(controller *http.ResponseController) {
	conn, _, err := controller.Hijack()
	if err == nil {
		_ = conn.Close() // nobody is left to hear of a failure
	}
}

func sleep(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}
