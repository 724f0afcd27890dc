package accounts_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/accounts"
)

var update = flag.Bool("update", false, "write the files of deploy/clickhouse")

const deploy = "../../deploy/clickhouse/"

// What operators are given is what is tested.
func TestFilesAreOfThisSource(t *testing.T) {
	for name, render := range map[string]func(string) ([]byte, error){
		"users.d/pricelake.xml": accounts.UsersXML,
		"accounts.sql":          accounts.SQL,
		"rebuilder.xml":         accounts.RebuilderXML,
		"rebuilder.sql":         accounts.RebuilderSQL,
	} {
		want, err := render("pricelake")
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(deploy+name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(deploy + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("deploy/clickhouse/%s is not what internal/accounts makes: run `go test ./internal/accounts -update`", name)
		}
	}
}

func TestFilesAreWellFormed(t *testing.T) {
	for _, name := range []string{"users.d/pricelake.xml", "users.d/pricelake-passwords.xml", "config.d/pricelake.xml", "rebuilder.xml"} {
		text, err := os.ReadFile(deploy + name)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}

// The script keeps the passwords it finds and tells the server their hashes.
func TestPasswords(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Skip("no sha256sum on this machine")
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	make := func() string {
		t.Helper()
		if out, err := exec.Command("sh", deploy+"passwords.sh", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "pricelake-passwords.xml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := make()
	if again := make(); again != first {
		t.Error("a second run made other passwords")
	}
	for _, a := range accounts.All("pricelake") {
		name := filepath.Join(dir, a.Name+".password")
		password, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 || len(password) != 48 {
			t.Errorf("%s: %d characters, mode %v, %v", name, len(password), info.Mode(), err)
		}
		if want := fmt.Sprintf("<%s><password_sha256_hex>%x</password_sha256_hex></%[1]s>", a.Name, sha256.Sum256(password)); !strings.Contains(first, want) {
			t.Errorf("%s is not in\n%s", want, first)
		}
	}
}
