package compose

import (
	"compress/gzip"
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestTheBinaryOfTheImage builds as the Dockerfile does: static, so that it runs
// on nothing, and small. The base adds two megabytes.
func TestTheBinaryOfTheImage(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds the binary for Linux: not with -short or elsewhere")
	}
	if !strings.Contains(read(t, "deploy/Dockerfile"), "CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -tags noembed -trimpath ") {
		t.Error("the Dockerfile builds in another way than this test")
	}
	path := filepath.Join(t.TempDir(), "pricelake")
	// Not -trimpath: it changes paths, and every package would be compiled again.
	cmd := exec.Command("go", "build", "-tags", "noembed", "-ldflags=-s -w", "-o", path, "./cmd/pricelake")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary is dynamic: it has a segment %s", p.Type)
		}
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs %v (%v)", libraries, err)
	}
	if size := compressed(t, path); size > 25<<20 {
		t.Errorf("the binary has %d MiB compressed, want at most 25: the image must stay below 30", size>>20)
	} else {
		t.Logf("%.1f MiB compressed", float64(size)/(1<<20))
	}
}

// compressed is the size of a file as a layer of an image.
func compressed(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var size counter
	w := gzip.NewWriter(&size)
	if _, err := io.Copy(w, file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return int64(size)
}

// counter counts what is written into it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
