package accounts

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// UsersXML is the file for users.d of a server: accounts, profiles, quotas and
// grants. The passwords are in a file of their own beside it.
func UsersXML(database string) ([]byte, error) {
	return render("users.xml", file{}, database, All(database)...)
}

// SQL is the same as statements, for servers that keep users made by SQL.
func SQL(database string) ([]byte, error) {
	return render("accounts.sql", file{"accounts.sql", "users.d/pricelake.xml"}, database, All(database)...)
}

// file is what a rendered file says of itself.
type file struct {
	Name string
	As   string // the file with the same rights
}

func render(name string, f file, database string, accounts ...Account) ([]byte, error) {
	t, err := template.New(name).Funcs(template.FuncMap{
		"xml": escapeXML, "variable": Variable, "quoted": quoted,
	}).ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", name, err)
	}
	var out bytes.Buffer
	data := struct {
		File     file
		Database string
		Accounts []Account
	}{f, database, accounts}
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// Variable names the variable that holds the SHA-256 of an account's password,
// in hexadecimal.
func Variable(account string) string { return strings.ToUpper(account) + "_PASSWORD_SHA256" }

func escapeXML(text string) (string, error) {
	var out strings.Builder
	err := xml.EscapeText(&out, []byte(text))
	return out.String(), err
}

// quoted writes the value of a setting in SQL: numbers bare.
func quoted(value string) string {
	if strings.Trim(value, "0123456789") == "" {
		return value
	}
	return "'" + value + "'"
}
