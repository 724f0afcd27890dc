package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/sinks/lake"
)

// volumeField is the field that the next version has more.
const volumeField = `{"name":"volume","type":["null","Decimal"],"default":null}`

// nextVersion builds the version after this one: this checkout, but with one more
// optional field of Price, as CONTRIBUTING.md says that one is added: the schema,
// the Go struct, the column and a migration.
func nextVersion(t *testing.T) string {
	t.Helper()
	pricelake(t) // or skip
	root, dir := "../..", t.TempDir()
	replaced := map[string]string{}
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		absolute, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		replaced[absolute] = path
	}
	change := func(name, old, with string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		expr := regexp.MustCompile(old)
		if n := len(expr.FindAllIndex(text, -1)); n != 1 {
			t.Fatalf("%s has %d places like %s: say here how a field is added now", name, n, old)
		}
		put(name, string(expr.ReplaceAll(text, []byte(with))))
	}
	change("schemas/price.avsc", `("name": "correlation_id"[^}]*\})`, `$1, `+volumeField)
	change("schemas/records.go", `(?s)(type Price struct \{[^}]*)\}`, "${1}Volume NullDecimal `avro:\"volume\" json:\"volume\"`\n}")
	change("schemas/avro/fields.go", `(?s)(func \(c \*coder\) price\(r \*schemas\.Price\) \{[^}]*)\}`, "${1}c.nullDecimal(&r.Volume)\n}")
	change("sinks/lake/prices.go", `(idField\("poll_id"\), idField\("response_id"\), idField\("correlation_id"\)),`, `$1, nullDecimalField("volume"),`)
	change("sinks/lake/tables.go", `const Transform = \d+`, fmt.Sprintf("const Transform = %d", lake.Transform+1))
	put("sinks/lake/sql/"+nextMigration(t, root)+"_volume.sql", `-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE prices ADD COLUMN IF NOT EXISTS volume Nullable(Decimal(38, 18)) COMMENT 'Traded in 24 hours, in units of base' AFTER correlation_id;
`)
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	put("overlay.json", string(overlay))
	binary := filepath.Join(dir, "pricelake-next")
	cmd := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "./cmd/pricelake")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the next version: %v\n%s", err, out)
	}
	return binary
}

// nextMigration is the number of the migration after the last.
func nextMigration(t *testing.T, root string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "sinks/lake/sql/*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no migrations: %v", err)
	}
	number, _, _ := strings.Cut(filepath.Base(files[len(files)-1]), "_") // Glob sorts
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%05d", n+1)
}
