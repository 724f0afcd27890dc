package poller

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// recordLimit is the largest record that the topic of answers takes.
	recordLimit = 8 << 20
	// bodyCeiling leaves room for the other fields of the answer's record.
	bodyCeiling = recordLimit - 64<<10
	// errorBodyLimit bounds the answers of failed attempts: a poll may hold
	// several of them.
	errorBodyLimit = 1 << 20
	// maxRatio is how many bytes one compressed byte may become, once more
	// than ratioFloor came out. Texts of prices stay far below it.
	maxRatio   = 100
	ratioFloor = 1 << 20
)

// errTooLarge is wrapped by the errors of a body that is above a limit.
var errTooLarge = errors.New("the answer is too large")

// decodable reports whether readBody undoes the content encoding. A body in any
// other encoding is kept as it came.
func decodable(encoding string) bool {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip", "deflate":
		return true
	}
	return false
}

// readBody reads r to its end, undoing gzip and deflate. It never holds more
// than about twice limit, and never returns a part: above the limit the error
// wraps errTooLarge.
func readBody(r io.Reader, encoding string, limit int64) ([]byte, error) {
	in := &countingReader{r: r}
	plain, err := decompress(in, encoding)
	if err != nil {
		return nil, err
	}
	var body []byte
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		window := body[len(body):min(int64(cap(body)), limit+1)]
		n, err := plain.Read(window)
		body = body[:len(body)+n]
		if int64(len(body)) > limit {
			return nil, fmt.Errorf("reading more than %d bytes: %w", limit, errTooLarge)
		}
		if len(body) > ratioFloor && int64(len(body)) > maxRatio*in.n {
			return nil, fmt.Errorf("decompressing %d bytes into %d: %w", in.n, len(body), errTooLarge)
		}
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// decompress undoes the encoding. The name deflate is used for zlib's format
// (which is right) and for bare deflate (which some servers send).
func decompress(in io.Reader, encoding string) (io.Reader, error) {
	if !decodable(encoding) {
		return in, nil
	}
	buffered := bufio.NewReader(in)
	head, err := buffered.Peek(2)
	if len(head) == 0 && err == io.EOF {
		return buffered, nil // no body, whatever its encoding
	}
	if strings.Contains(strings.ToLower(encoding), "gzip") {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompressing as gzip: %w", err)
		}
		return z, nil
	}
	if len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		z, err := zlib.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("decompressing as deflate: %w", err)
		}
		return z, nil
	}
	return flate.NewReader(buffered), nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
