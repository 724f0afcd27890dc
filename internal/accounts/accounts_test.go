package accounts_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"io"
	"os"
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
	for _, name := range []string{"users.d/pricelake.xml", "users.d/pricelake-passwords.xml", "config.d/pricelake.xml"} {
		text, err := os.ReadFile(deploy + name)
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(text)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
}
