package embed

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// verify compares the file with an integrity of the form sha512-BASE64.
func verify(path, want string, progress Progress) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	sum := sha512.New()
	if _, err := io.Copy(sum, counting(f, info.Size(), "checking ClickHouse", progress)); err != nil {
		return fmt.Errorf("checking the download: %w", err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("the downloaded ClickHouse package is not the expected one (%s, expected %s): it was not used; check the npm registry you are set up for", got, want)
	}
	return nil
}

// unpack takes the library out of the package and puts it in its place, whole
// or not at all.
func unpack(ctx context.Context, tarball, target string, progress Progress) (err error) {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	defer func() { _ = f.Close() }()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	archive := tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if err != nil {
			return fmt.Errorf("unpacking ClickHouse: looking for %s: %w", libraryName, err)
		}
		if header.Name != "package/"+libraryName {
			continue
		}
		from := counting(contextReader{ctx, archive}, header.Size, "unpacking ClickHouse", progress)
		return placeLibrary(from, filepath.Join(filepath.Dir(tarball), libraryName), target)
	}
}

func placeLibrary(from io.Reader, temporary, target string) error {
	out, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	_, err = io.Copy(out, from)
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(temporary, target)
	}
	if err != nil {
		return fmt.Errorf("unpacking ClickHouse: %w", err)
	}
	return syncDir(filepath.Dir(target))
}

// contextReader ends with its context.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// counting reports what has been read, about every 8 MiB.
func counting(from io.Reader, total int64, step string, progress Progress) io.Reader {
	return &countingReader{from: from, total: total, step: step, progress: progress}
}

type countingReader struct {
	from                  io.Reader
	done, reported, total int64
	step                  string
	progress              Progress
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	if r.done-r.reported >= 8<<20 || (err != nil && r.done != r.reported) {
		r.reported = r.done
		r.progress(r.step, r.done, r.total)
	}
	return n, err
}

// lastLines is the end of a text, for an error message.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
