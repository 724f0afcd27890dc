package poller

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

type compressor interface {
	io.WriteCloser
	Flush() error
}

func compressed(t testing.TB, encoding string, body []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w compressor
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "zlib":
		w = zlib.NewWriter(&buf)
	case "flate":
		f, err := flate.NewWriter(&buf, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		w = f
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestReadBody(t *testing.T) {
	plain := []byte(strings.Repeat(`{"price":"1.25"},`, 500))
	gz := compressed(t, "gzip", plain)
	f := func(name string, wire []byte, encoding string, limit int, want []byte, wantErr error) {
		t.Helper()
		got, err := readBody(bytes.NewReader(wire), encoding, int64(limit))
		if wantErr != nil {
			if !errors.Is(err, wantErr) || got != nil {
				t.Errorf("%s: %d bytes, %v, want %v", name, len(got), err, wantErr)
			}
			return
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, want %d", name, len(got), err, len(want))
		}
	}
	f("plain", plain, "", 1<<20, plain, nil)
	f("identity", plain, "identity", 1<<20, plain, nil)
	f("exactly the limit", plain, "", len(plain), plain, nil)
	f("one above the limit", plain, "", len(plain)-1, nil, errTooLarge)
	f("no limit left", plain, "", 0, nil, errTooLarge)
	f("empty", nil, "", 0, nil, nil)
	f("gzip", gz, "gzip", len(plain), plain, nil)
	f("gzip by its old name", gz, " X-GZIP ", len(plain), plain, nil)
	f("gzip above the limit", gz, "gzip", len(plain)-1, nil, errTooLarge)
	f("two gzip members", append(bytes.Clone(gz), gz...), "gzip", 1<<20, append(bytes.Clone(plain), plain...), nil)
	f("deflate", compressed(t, "zlib", plain), "deflate", 1<<20, plain, nil)
	f("bare deflate", compressed(t, "flate", plain), "Deflate", 1<<20, plain, nil)
	f("nothing under gzip", nil, "gzip", 10, nil, nil)
	f("nothing under deflate", nil, "deflate", 10, nil, nil)
	f("an unknown encoding as it came", gz, "br", 1<<20, gz, nil)
	f("a nested encoding as it came", gz, "gzip, gzip", 1<<20, gz, nil)
	f("cut short", gz[:len(gz)-4], "gzip", 1<<20, nil, io.ErrUnexpectedEOF)
	f("not gzip", plain, "gzip", 1<<20, nil, gzip.ErrHeader)
	broken := bytes.Clone(gz)
	broken[len(broken)-5] ^= 1
	f("wrong checksum", broken, "gzip", 1<<20, nil, gzip.ErrChecksum)
}

// TestBombs: what a few kilobytes blow up to is never held.
func TestBombs(t *testing.T) {
	bomb := compressed(t, "gzip", make([]byte, 12<<20))
	nested := compressed(t, "gzip", bomb)
	f := func(name string, wire []byte, encoding string, limit int64, want string) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		body, err := readBody(bytes.NewReader(wire), encoding, limit)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, errTooLarge) || body != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d bytes, %v", name, len(body), err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
			t.Errorf("%s: %d MiB allocated", name, grown>>20)
		}
	}
	f("gzip", bomb, "gzip", bodyCeiling, "decompressing")
	f("gzip below the ratio's floor", bomb, "gzip", 1<<19, "more than 524288")
	f("deflate", compressed(t, "flate", make([]byte, 4<<20)), "deflate", bodyCeiling, "decompressing")
	if body, err := readBody(bytes.NewReader(nested), "gzip", bodyCeiling); err != nil || !bytes.Equal(body, bomb) {
		t.Errorf("a nested bomb is opened more than once: %d bytes, %v", len(body), err)
	}
}

func TestEncodedAnswers(t *testing.T) {
	f := func(encoding string, wire []byte, wantBody, wantKept string) {
		t.Helper()
		r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			_, _ = w.Write(wire)
		})
		a := r.poll().responses[0]
		if string(a.Body) != wantBody || a.Headers["content-encoding"] != wantKept {
			t.Errorf("%s: body %q, content-encoding %q", encoding, a.Body, a.Headers["content-encoding"])
		}
	}
	f("gzip", compressed(t, "gzip", []byte("BTC ETH")), "BTC ETH", "")
	f("deflate", compressed(t, "zlib", []byte("BTC ETH")), "BTC ETH", "")
	f("br", []byte("as it came"), "as it came", "br")
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(compressed(t, "gzip", make([]byte, 4<<20)))
	})
	if got := r.poll().outcome(); got != "too_large 2/0/0/2: too_large dead:too_large" {
		t.Error(got)
	}
}

func FuzzReadBody(f *testing.F) {
	for _, encoding := range []string{"gzip", "zlib", "flate"} {
		f.Add(compressed(f, encoding, []byte(strings.Repeat("price", 100))), "deflate")
		f.Add(compressed(f, encoding, make([]byte, 100_000)), "gzip")
	}
	f.Add([]byte("plain"), "")
	f.Fuzz(func(t *testing.T, wire []byte, encoding string) {
		const limit = 1 << 16
		body, err := readBody(bytes.NewReader(wire), encoding, limit)
		if len(body) > limit || err != nil && body != nil {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
		if err == nil && !decodable(encoding) && !bytes.Equal(body, wire) {
			t.Fatal("a body without encoding was changed")
		}
	})
}
