package ledgercheck

import "testing"

func TestCanonical(t *testing.T) {
	f := func(text, want string, rounded bool) {
		t.Helper()
		got, cut, err := canonical(text)
		if err != nil || got != want || cut != rounded {
			t.Errorf("canonical(%q) = %q, %t, %v; want %q, %t", text, got, cut, err, want, rounded)
		}
	}
	f("", "", false)
	f("0", "0", false)
	f("-0.0", "0", false)
	f("007.500", "7.5", false)
	f("100", "100", false)
	f("-12.340", "-12.34", false)
	f("1.000000000000000001", "1.000000000000000001", false)
	f("1.00000000000000000100", "1.000000000000000001", false)
	f("1.00000000000000000149", "1.000000000000000001", true)
	f("1.00000000000000000150", "1.000000000000000002", true)
	f("1.00000000000000000250", "1.000000000000000002", true)
	f("1.000000000000000002500000001", "1.000000000000000003", true)
	f("-1.00000000000000000151", "-1.000000000000000002", true)
	f("9.9999999999999999999", "10", true)
	f("0.00000000000000000050", "0", true)
	for _, text := range []string{"x", "1e5", "+1", "1.", ".5", "1,5", "--1", "-"} {
		if got, _, err := canonical(text); err == nil {
			t.Errorf("canonical(%q) = %q, want an error", text, got)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("1.00000000000000000150")
	f.Add("-0.5")
	f.Fuzz(func(t *testing.T, text string) {
		once, _, err := canonical(text)
		if err != nil {
			return
		}
		if twice, cut, err := canonical(once); err != nil || cut || twice != once {
			t.Errorf("canonical(%q) = %q, and of that %q, %t, %v", text, once, twice, cut, err)
		}
	})
}
