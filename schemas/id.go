package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// ID is an identifier of 16 bytes. The zero value means none. Its text is the
// 8-4-4-4-12 form of a UUID, which is what every tool reads, but there is no
// UUID version in its bits: they are hash (and, in an EventID, a minute).
type ID [16]byte

const idTextLen = 36

// DeriveID returns the identifier of the parts within a domain: the first 16
// bytes of SHA-256 over domain and parts, each preceded by its length as four
// big-endian bytes. Equal input gives the equal id in every process and for
// ever; different input gives a different one for all practical purposes.
func DeriveID(domain string, parts ...string) ID {
	var buf [256]byte
	input := appendPart(buf[:0], domain)
	for _, part := range parts {
		input = appendPart(input, part)
	}
	sum := sha256.Sum256(input)
	return ID(sum[:16])
}

func appendPart(dst []byte, part string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}

// ParseID reads the text of String, in either case of letters.
func ParseID(text string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(text))
	return id, err
}

// IsZero says whether the id is the zero value: none.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the id in the form of a UUID, in lower case.
func (id ID) String() string {
	var buf [idTextLen]byte
	return string(id.Append(buf[:0]))
}

// Append appends the text of String to dst.
func (id ID) Append(dst []byte) []byte {
	for i, group := range [...][]byte{id[0:4], id[4:6], id[6:8], id[8:10], id[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, group)
	}
	return dst
}

// MarshalText returns the text of String.
func (id ID) MarshalText() ([]byte, error) { return id.Append(nil), nil }

// UnmarshalText reads what ParseID reads.
func (id *ID) UnmarshalText(text []byte) error {
	var parsed ID
	if len(text) != idTextLen {
		return fmt.Errorf("parsing the id %s: want 32 hexadecimal digits as 8-4-4-4-12", quoted(string(text)))
	}
	at, done := 0, 0
	for i, size := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			if text[at] != '-' {
				return fmt.Errorf("parsing the id %s: want 32 hexadecimal digits as 8-4-4-4-12", quoted(string(text)))
			}
			at++
		}
		if _, err := hex.Decode(parsed[done:done+size], text[at:at+2*size]); err != nil {
			return fmt.Errorf("parsing the id %s: %w", quoted(string(text)), err)
		}
		at, done = at+2*size, done+size
	}
	*id = parsed
	return nil
}
