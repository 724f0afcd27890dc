package embed

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/pricelake/pricelake/internal/accounts"
)

//go:embed templates
var templates embed.FS

// Credentials are a name and a password for ClickHouse.
type Credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// The users of the embedded ClickHouse. Their rights are in users.xml.
const (
	// ownerUser reads and writes the database pricelake.
	ownerUser = "pricelake"
	// readerUser reads it.
	readerUser = "reader"
	// operatorUser may do everything; its password changes at every start and
	// never leaves this process.
	operatorUser = "operator"
)

// passwords are kept in the data directory, for one owner's eyes.
type passwords struct {
	Owner  Credentials `json:"owner"`
	Reader Credentials `json:"reader"`
}

// loadPasswords reads the passwords of the data directory and makes them at
// the first start. A file that cannot be read is an error, never a reason for
// new passwords: clients keep the old ones.
func loadPasswords(path string) (passwords, error) {
	var p passwords
	found, err := readJSON(path, &p)
	if err != nil {
		return p, fmt.Errorf("loading the passwords of ClickHouse: %w", err)
	}
	if found {
		if p.Owner.Password == "" || p.Reader.Password == "" {
			return p, fmt.Errorf("loading the passwords of ClickHouse: %q lacks one: remove the file to get new ones", path)
		}
		return p, nil
	}
	p = passwords{Owner: Credentials{ownerUser, rand.Text()}, Reader: Credentials{readerUser, rand.Text()}}
	if err := writeJSON(path, p); err != nil {
		return p, fmt.Errorf("keeping the passwords of ClickHouse: %w", err)
	}
	return p, nil
}

// serverConfig is what the templates need.
type serverConfig struct {
	Dir                     string
	NativePort, HTTPPort    int
	ReplicaID               string
	MemoryLimit             uint64
	Database                string // where the owner and the reader start
	Passwordless            bool   // of the user default, which the library insists on
	Operator, Owner, Reader string
	OwnUsers                bool // there are an owner and a reader
	OwnerGrants             []string
	ReaderGrants            []string
	ReaderProfile           []accounts.Setting
	ReaderQueries           int // a minute
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ownerGrants are the rights of the owner. Left out on purpose: everything that
// reaches outside the databases (sources, dictionaries, which may run programs,
// functions, named collections), users and roles; and DROP DATABASE, which would
// lock the owner out until the next start.
func ownerGrants(databases []string) []string {
	var grants []string
	for _, db := range databases {
		grants = append(grants, "GRANT SHOW, SELECT, INSERT, ALTER TABLE, ALTER VIEW, CREATE DATABASE, CREATE TABLE, CREATE VIEW, "+
			"DROP TABLE, DROP VIEW, UNDROP TABLE, TRUNCATE, OPTIMIZE, CHECK, "+
			"SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM VIEWS ON "+db+".*")
	}
	for _, engine := range []string{
		"Atomic", "MergeTree", "ReplacingMergeTree", "AggregatingMergeTree", "SummingMergeTree", "CollapsingMergeTree",
		"VersionedCollapsingMergeTree", "CoalescingMergeTree", "Memory", "Null", "Join", "Set", "Merge", "View", "MaterializedView",
	} {
		grants = append(grants, "GRANT TABLE ENGINE ON `"+engine+"`")
	}
	return append(grants,
		"GRANT CREATE TEMPORARY TABLE, KILL QUERY, SYSTEM FLUSH LOGS ON *.*",
		"GRANT SELECT ON system.*", "GRANT SELECT ON information_schema.*", "GRANT SELECT ON INFORMATION_SCHEMA.*")
}

// readerGrants are the rights of the reader in each database.
func readerGrants(databases []string) []string {
	var grants []string
	for _, db := range databases {
		for _, g := range accounts.ReaderGrants(db) {
			if text := g.String(); !slices.Contains(grants, text) {
				grants = append(grants, text)
			}
		}
	}
	return grants
}

// writeServerConfig writes everything the engine reads at its start.
func writeServerConfig(c serverConfig) error {
	for _, name := range []string{"config.xml", "users.xml"} {
		text, err := render(name, c)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(c.Dir, "config", name), text); err != nil {
			return err
		}
	}
	return persistSystemDatabase(filepath.Join(c.Dir, "data", "metadata", "system.sql"))
}

// persistSystemDatabase makes the database system one on disk. It is in memory
// by default, and the second start then stumbles over the query log of the
// first.
func persistSystemDatabase(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	text := fmt.Sprintf("ATTACH DATABASE _ UUID '%x-%x-%x-%x-%x'\nENGINE = Atomic\n", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return writeFile(path, []byte(text))
}

func render(name string, c serverConfig) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"xml": escapeXML}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, c); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", name, err)
	}
	return out.Bytes(), nil
}

func escapeXML(text string) (string, error) {
	var out strings.Builder
	err := xml.EscapeText(&out, []byte(text))
	return out.String(), err
}
