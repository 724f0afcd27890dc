package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Endpoints is where a running `up` answers: the first line of `up --json`, and
// a file in its data dir by which the tools find it.
type Endpoints struct {
	Event              string `json:"event"` // "ready"
	Kafka              string `json:"kafka"`
	Registry           string `json:"registry"`
	ClickHouseNative   string `json:"clickhouse_native"`
	ClickHouseHTTP     string `json:"clickhouse_http"`
	ClickHouseUser     string `json:"clickhouse_user"`
	ClickHousePassword string `json:"clickhouse_password"`
	Admin              string `json:"admin"`
	Simulator          string `json:"simulator,omitempty"`
	DataDir            string `json:"data_dir"`
	ReaderUser         string `json:"clickhouse_reader_user"` // can only read
	ReaderPassword     string `json:"clickhouse_reader_password"`
}

const endpointsFile = "endpoints.json"

// write keeps the endpoints in the data dir, readable by its owner only: they
// hold a password.
func (e Endpoints) write(dir string) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding endpoints: %w", err)
	}
	tmp := filepath.Join(dir, endpointsFile+".new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("writing endpoints: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, endpointsFile)); err != nil {
		return fmt.Errorf("writing endpoints: %w", err)
	}
	return nil
}

// ReadEndpoints returns the endpoints of the `up` that runs, or last ran, on a
// data dir. ok is false when none ever did.
func ReadEndpoints(dir string) (e Endpoints, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, endpointsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Endpoints{}, false, nil
	}
	if err != nil {
		return Endpoints{}, false, fmt.Errorf("reading endpoints: %w", err)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return Endpoints{}, false, fmt.Errorf("reading endpoints in %q: %w; `pricelake up` on this data dir writes them anew", dir, err)
	}
	return e, true, nil
}

// DataDirs returns the data dirs `up` uses when told none: the lake's and the
// demo's, apart so that simulated prices never meet real ones.
func DataDirs(getenv func(string) string) (lake, demo string, err error) {
	base := getenv("XDG_DATA_HOME")
	if base == "" {
		home := getenv("HOME")
		if home == "" {
			return "", "", errors.New("no place for the data: neither HOME nor XDG_DATA_HOME is set; name one with --data-dir")
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "pricelake", "lake"), filepath.Join(base, "pricelake", "demo"), nil
}
