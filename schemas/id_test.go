package schemas

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	const text = "00112233-4455-6677-8899-aabbccddeeff"
	want := ID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	for _, form := range []string{text, strings.ToUpper(text)} {
		if id, err := ParseID(form); err != nil || id != want || id.String() != text {
			t.Errorf("%s: got %s, %v", form, id, err)
		}
	}
	if want.IsZero() || !(ID{}).IsZero() {
		t.Error("IsZero")
	}
	data, err := json.Marshal(map[ID]ID{want: want})
	if err != nil || string(data) != `{"`+text+`":"`+text+`"}` {
		t.Errorf("as JSON: %s, %v", data, err)
	}
	var back map[ID]ID
	if err := json.Unmarshal(data, &back); err != nil || back[want] != want {
		t.Errorf("back from JSON: %v, %v", back, err)
	}
	for _, bad := range []string{
		"", "0", text[1:], text + "0", "00112233x4455-6677-8899-aabbccddeeff", "0011223g-4455-6677-8899-aabbccddeeff",
		"001122334455-6677-8899-aabb-ccddeeff", strings.ReplaceAll(text, "-", ""), "{" + text + "}",
	} {
		if id, err := ParseID(bad); err == nil || !id.IsZero() {
			t.Errorf("%q: got %s, %v", bad, id, err)
		}
	}
}

func TestDeriveIDKeepsPartsApart(t *testing.T) {
	seen := map[ID]string{}
	for _, parts := range [][]string{{"a", "b", "c"}, {"a", "bc"}, {"a", "b", "c", ""}, {"ab", "c"}, {"a", "", "bc"}, {"abc"}, {"", "abc"}} {
		id := DeriveID(parts[0], parts[1:]...)
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have one id", parts, other)
		}
		seen[id] = strings.Join(parts, "|")
		if again := DeriveID(parts[0], parts[1:]...); again != id {
			t.Errorf("%q has two ids", parts)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("00112233-4455-6677-8899-aabbccddeeff")
	f.Add("00112233-4455-6677-8899-AABBCCDDEEF")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && id.String() != strings.ToLower(text) {
			t.Fatalf("%q is printed as %s", text, id)
		}
	})
}
