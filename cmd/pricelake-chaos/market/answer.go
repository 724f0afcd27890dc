package market

import (
	"bytes"
	"fmt"
	"strconv"
)

// Why says why a part of an answer is in it.
type Why string

// The reasons.
const (
	Fresh   Why = "fresh"   // said for the first time
	Again   Why = "again"   // said before, but not seen to be recorded
	Repeat  Why = "repeat"  // recorded long ago, said once more on purpose
	Restate Why = "restate" // the same trades with other values
)

// Part is a part of an answer: every Stride-th trade of a page from Phase on, in
// one version.
type Part struct {
	Why     Why `json:"why"`
	Page    int `json:"page"`
	Version int `json:"version"`
	Stride  int `json:"stride"`
	Phase   int `json:"phase"`
}

// Answer is one answer of the API as the ledger keeps it: the world can say it
// again.
type Answer struct {
	Call   int    `json:"call"`
	Number int    `json:"number"` // of the call's answers, from 0
	Parts  []Part `json:"parts"`
	// Sent says that every byte was handed to the network. The other side may
	// not have read them.
	Sent bool `json:"sent"`
}

// Items calls each for the trades of an answer, in its order.
func (w World) Items(a Answer, each func(Item)) {
	for _, p := range a.Parts {
		w.PartItems(a.Call, p, each)
	}
}

// PartItems calls each for the trades of one part, in its order.
func (w World) PartItems(call int, p Part, each func(Item)) {
	for i := p.Phase; i < w.Page; i += p.Stride {
		each(w.Item(Trade{call, p.Page, i}, p.Version))
	}
}

// Body is the answer, byte for byte.
func (w World) Body(a Answer) []byte {
	body := fmt.Appendf(nil, "%s%02d-%07d\",\"items\":[", bodyHead, a.Call, a.Number)
	first := true
	w.Items(a, func(it Item) {
		if !first {
			body = append(body, ',')
		}
		first = false
		body = w.appendJSON(append(body, '\n'), it)
	})
	return append(body, "]}\n"...)
}

const bodyHead = `{"answer":"c`

// Identify tells which answer a body claims to be; ok is false when it is none
// of this API's.
func Identify(body []byte) (call, number int, ok bool) {
	rest, ok := bytes.CutPrefix(body, []byte(bodyHead))
	if !ok {
		return 0, 0, false
	}
	name, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return 0, 0, false
	}
	left, right, ok := bytes.Cut(name, []byte("-"))
	if !ok {
		return 0, 0, false
	}
	call, err := strconv.Atoi(string(left))
	if err != nil {
		return 0, 0, false
	}
	number, err = strconv.Atoi(string(right))
	return call, number, err == nil
}
