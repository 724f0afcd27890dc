package catalog

import (
	"encoding/json"
	"testing"
)

func TestShipped(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d instruments, %d calls", len(c.Instruments), len(c.Calls))
	d, err := Demo("http://127.0.0.1:9999/")
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range d.Calls {
		t.Log(call.Request.URL, call.Request.Query, call.Version)
	}
	x, _ := json.MarshalIndent(c.Calls[0], "", " ")
	t.Logf("%s", x)
}
