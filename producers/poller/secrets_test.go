package poller

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/schemas"
)

// fixedNow is a Sunday.
func fixedNow() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// Values that stand out wherever they turn up, whole or in part.
const (
	canaryHeader = `c4n4ry-H3ader/+&"key`
	canaryQuery  = "c4n4ry-Qu3ry=/+& ü%41"
)

func secretsOf(values map[string]string) Secrets {
	return Secrets{
		Env: func(name string) (string, bool) { v, ok := values[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if v, ok := values[path]; ok {
				return []byte(v), nil
			}
			return nil, fs.ErrNotExist
		},
	}
}

// TestSecretsStayInTheRequest plants secrets and looks for them in every record,
// header, log line and error of every way a poll can end.
func TestSecretsStayInTheRequest(t *testing.T) {
	echo := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			key, apikey := req.Header.Get("X-Key"), req.URL.Query().Get("apikey")
			if key != canaryHeader || apikey != canaryQuery {
				t.Errorf("the server received key %q and apikey %q", key, apikey)
			}
			w.Header().Set("ETag", key)
			w.Header().Set("X-RateLimit-Key", url.QueryEscape(apikey))
			w.Header().Set("Location", "/?apikey="+url.QueryEscape(apikey))
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, "error: invalid keys %s and %s in %s, %q %q", key, apikey, req.URL, key, apikey)
		}
	}
	f := func(name string, handler http.HandlerFunc, change func(*rig)) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, handler)
			r.client.Secrets = secretsOf(map[string]string{"KEY": canaryHeader, "/run/key": canaryQuery + "\n"})
			r.def.Request.Headers = map[string]string{"X-Key": "env:KEY"}
			r.def.Request.Query = map[string]string{"apikey": "file:/run/key", "pair": "BTC"}
			r.def.Request.TimeoutMicros = 200_000
			change(r)
			records, err := r.handle(t.Context())
			seen := r.log.String() + fmt.Sprint(err)
			for _, rec := range records {
				seen += fmt.Sprintf("%s %s %s", rec.Key, rec.Value, rec.Headers)
			}
			for _, o := range decode(t, records).responses { // the codec's base64 hides bodies
				seen += string(o.Body) + fmt.Sprintf("%q", o.Body)
			}
			for _, part := range []string{"c4n4ry", "H3ader", "Qu3ry"} {
				if i := strings.Index(seen, part); i >= 0 {
					t.Errorf("a secret got out: …%s…", seen[max(0, i-80):min(len(seen), i+80)])
				}
			}
		})
	}
	same := func(*rig) {}
	f("answer", echo(200), same)
	f("failure", echo(500), same)
	f("not allowed", echo(401), same)
	f("redirect", echo(302), same)
	f("rate limited", echo(429), same)
	f("hang-up", hangUp, same)
	f("timeout", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, same)
	f("nobody listens", hangUp, func(r *rig) { r.server.Close() })
	f("no such host", hangUp, func(r *rig) { r.def.Request.URL = "http://pricelake.invalid/" })
	f("address refused", hangUp, func(r *rig) { r.client.AllowPrivate = nil })
	f("not HTTP", func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			_, _ = conn.Write([]byte("garbage\r\n\r\n"))
			conn.Close()
		}
	}, same)
	f("https spoken to http", hangUp, func(r *rig) { r.def.Request.URL = strings.Replace(r.def.Request.URL, "http:", "https:", 1) })
	f("too large", func(w http.ResponseWriter, req *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte(req.Header.Get("X-Key")), 100))
	}, func(r *rig) { r.def.Request.MaxBodyBytes = 100 })
	f("forbidden header name", hangUp, func(r *rig) { r.def.Request.Headers["Bad Name"] = "env:KEY" })
}

func TestAnswerSaysThatASecretWasTakenOut(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = w.Write([]byte("BTC ETH " + req.Header.Get("X-Key")))
	})
	r.client.Secrets = secretsOf(map[string]string{"KEY": "0123456789"})
	r.def.Request.Headers = map[string]string{"X-Key": "env:KEY"}
	r.def.Request.Query = map[string]string{"key": "env:KEY"}
	a := r.poll().responses[0]
	if string(a.Body) != "BTC ETH REDACTED" || a.Headers[redactedHeader] == "" || a.URL != r.server.URL+"/prices?key=REDACTED" {
		t.Errorf("answer %q from %s, headers %v", a.Body, a.URL, a.Headers)
	}
	// A short one might be part of a price: answers are left alone.
	r.client.Secrets = secretsOf(map[string]string{"KEY": "1234"})
	if a := r.poll().responses[0]; string(a.Body) != "BTC ETH 1234" || a.Headers[redactedHeader] != "" {
		t.Errorf("answer %q, headers %v", a.Body, a.Headers)
	}
}

func TestResolve(t *testing.T) {
	s := secretsOf(map[string]string{"A": "alpha", "EMPTY": "", "LINES": "a\nb", "/f": "beta\r\n", "LONG": strings.Repeat("x", maxSecretBytes+1)})
	f := func(reference, want, wantErr string) {
		t.Helper()
		got, err := s.Resolve(reference)
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("Resolve(%q) = %q, %v", reference, got, err)
		}
	}
	f("env:A", "alpha", "")
	f("file:/f", "beta", "")
	f("env:B", "", "not set")
	f("env:EMPTY", "", "empty")
	f("env:LINES", "", "more than one line")
	f("env:LONG", "", "the limit")
	f("file:/g", "", "not exist")
	f("vault:x", "", "write env:NAME")
	if _, err := (Secrets{}).Resolve("env:A"); err == nil {
		t.Error("a client without secrets resolves one")
	}
	if _, err := (Secrets{}).Resolve("file:/f"); err == nil {
		t.Error("a client without secrets reads a file")
	}
}

func FuzzSecrets(f *testing.F) {
	f.Add("env:KEY", "s3cret-value", "before s3cret-value after")
	f.Add("file:/x", "a b&c=d/e+f%\"<", "?k=a+b%26c%3Dd%2Fe%2Bf%25%22%3C")
	f.Fuzz(func(t *testing.T, reference, value, text string) {
		s := Secrets{
			Env:      func(string) (string, bool) { return value, true },
			ReadFile: func(string) ([]byte, error) { return []byte(value), nil },
		}
		secret, err := s.Resolve(reference)
		if err != nil {
			return
		}
		if strings.ContainsAny(secret, "\r\n\x00") {
			t.Fatalf("Resolve lets %q through", secret)
		}
		var r redactor
		r.add(secret)
		if strings.Contains(redacted, secret) {
			return // "RED" cannot be told from its own replacement
		}
		for _, echoed := range []string{text + secret, url.QueryEscape(secret) + text, fmt.Sprintf("%q", secret)} {
			if clean := r.text(echoed); strings.Contains(clean, secret) && !strings.Contains(strings.ReplaceAll(clean, redacted, ""), secret) {
				continue // made of the replacement and its surroundings
			} else if strings.Contains(clean, secret) {
				t.Fatalf("%q still has %q", clean, secret)
			}
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("https://api.example.com/p?x=1", "symbol", "BTC USD", "X-Key")
	f.Add("http://user:pw@127.1/", "a", "env:K", "Host")
	f.Add("http://[::ffff:10.0.0.1]:22/#@", "\r\n", "file:/x", "a b")
	c := NewClient(ClientConfig{Secrets: secretsOf(map[string]string{"K": "0123456789abcdef", "/x": "fedcba9876543210"})})
	f.Fuzz(func(t *testing.T, rawURL, name, value, header string) {
		p, err := c.prepare(t.Context(), &schemas.CallRequest{
			URL: rawURL, Query: map[string]string{name: value}, Headers: map[string]string{header: value},
		})
		if err != nil {
			if strings.Contains(err.Error(), "0123456789abcdef") || strings.Contains(err.Error(), "fedcba9876543210") {
				t.Fatalf("error %v", err)
			}
			return
		}
		if scheme := p.http.URL.Scheme; scheme != "http" && scheme != "https" || p.http.URL.User != nil || p.http.URL.Hostname() == "" {
			t.Fatalf("request for %q", p.http.URL)
		}
		if IsSecretReference(value) && (strings.Contains(p.publicURL, "0123456789abcdef") || strings.Contains(p.publicURL, "fedcba9876543210")) && !strings.Contains(rawURL+name, "0123456789abcdef") && !strings.Contains(rawURL+name, "fedcba9876543210") {
			t.Fatalf("public URL %q", p.publicURL)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"0", "120", "1.5", "-1", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", " 7 ", ".", "1."} {
		f.Add(seed, "")
		f.Add(seed, "Sun, 06 Nov 1994 08:48:37 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		wait, ok := retryAfter(value, date, fixedNow())
		if wait < 0 || wait > maxRetryAfter || !ok && wait != 0 {
			t.Fatalf("retryAfter(%q, %q) = %v, %v", value, date, wait, ok)
		}
	})
}

func TestRetryAfterForms(t *testing.T) {
	f := func(value, date, want string, wantOK bool) {
		t.Helper()
		if got, ok := retryAfter(value, date, fixedNow()); got.String() != want || ok != wantOK {
			t.Errorf("retryAfter(%q, %q) = %v, %v", value, date, got, ok)
		}
	}
	f("", "", "0s", false)
	f("0", "", "0s", true)
	f(" 120 ", "", "2m0s", true)
	f("1.5", "", "2s", true)
	f("1.0", "", "1s", true)
	f("3600", "", "15m0s", true)
	f("-5", "", "0s", false)
	f("1e3", "", "0s", false)
	f("tomorrow", "", "0s", false)
	f("Sun, 01 Mar 2026 12:00:30 GMT", "", "30s", true)
	f("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:20 GMT", "10s", true)
	f("Sun, 01 Mar 2026 11:00:00 GMT", "", "0s", true)
	f("Mon, 02 Mar 2026 12:00:00 GMT", "", "15m0s", true)
}

func TestNetworkErrorsKeepTheirCause(t *testing.T) {
	r := newRig(t, hangUp)
	r.server.Close()
	if text := r.poll().polls[0].Error; !strings.Contains(text, "connection refused") || strings.Contains(text, "Get ") {
		t.Errorf("error = %q", text)
	}
}
