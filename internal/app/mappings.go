package app

import (
	"sync"

	"github.com/pricelake/pricelake/producers/mapping"
	"github.com/pricelake/pricelake/schemas"
)

// maxPrograms bounds the compiled mappings a process keeps. A catalog has far
// fewer call versions in use; above it the process starts over.
const maxPrograms = 10_000

// mappings reads answers with the mapping of the call version that asked for
// them, compiled once. It may be used in parallel.
type mappings struct {
	mu       sync.Mutex
	programs map[callVersion]compiled
}

type compiled struct {
	program *mapping.Program
	err     error
}

func newMappings() *mappings {
	return &mappings{programs: map[callVersion]compiled{}}
}

// Read reads an answer. A mapping that does not compile (it did when the
// catalog was applied) makes the answer unparsable, with the reason.
func (m *mappings) Read(def *schemas.CallDefined, resp *schemas.ResponseReceived) schemas.Reading {
	c := m.compiled(def)
	if c.err != nil {
		return schemas.Reading{
			Outcome: schemas.PollUnparsable,
			Error:   c.err.Error(),
			Rejected: []schemas.PriceRejected{{
				Reason: schemas.RejectUnparsable,
				Detail: c.err.Error(),
			}},
		}
	}
	return c.program.Read(resp)
}

func (m *mappings) compiled(def *schemas.CallDefined) compiled {
	key := callVersion{def.CallID, def.Version}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, ok := m.programs[key]; ok {
		return c
	}
	if len(m.programs) >= maxPrograms {
		clear(m.programs)
	}
	program, err := mapping.Compile(def)
	c := compiled{program: program, err: err}
	m.programs[key] = c
	return c
}
