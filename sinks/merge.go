package sinks

// at returns refusals with their index looked up in places.
func at(refused []Refusal, places []int) []Refusal {
	for i := range refused {
		refused[i].Index = places[refused[i].Index]
	}
	return refused
}

// merge returns two lists of refusals as one in order of the index.
func merge(a, b []Refusal) []Refusal {
	out := make([]Refusal, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Index < b[0].Index {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
