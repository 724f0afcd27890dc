package kafka

import "sync"

// budget shares what a process may hold of records (I8) among its partitions by
// what they need. Each has a reserve, so that one that wakes up keeps its pace
// whatever the others hold. Of the rest each may have four times what is free, as
// switches share the memory of their ports (Choudhury and Hahne, Dynamic Queue
// Length Thresholds, 1998): one alone with a backlog has four fifths of it, three
// have four thirteenths each. All together never hold more than the limit, but for
// what one poll brought each of them, a quarter more where columns take more than the
// records they are made of, and a gathered range that had to be read again.
type budget struct {
	limit int

	mu   sync.Mutex
	held map[*assignment]int // bytes, of every partition owned
}

// mostReserve is what a partition with a trickle gathers in an interval, and more.
const mostReserve = 256 << 10

// defaultBufferBytes is what the records a process holds may take.
const defaultBufferBytes = 64 << 20

func newBudget(limit int) *budget {
	return &budget{limit: limit, held: make(map[*assignment]int)}
}

func (b *budget) join(a *assignment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[a] = 0
}

func (b *budget) leave(a *assignment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, a)
}

// hold notes how many bytes the partition holds now. What arrives after it left
// counts for nobody: its queue is about to be dropped.
func (b *budget) hold(a *assignment, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.held[a]; ok {
		b.held[a] = bytes
	}
}

// share is from how many bytes on a partition must not fetch any more.
func (b *budget) share() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := max(len(b.held), 1)
	reserve := min(b.limit/4/n, mostReserve)
	free := b.limit - n*reserve
	for _, bytes := range b.held {
		free -= max(bytes-reserve, 0)
	}
	return reserve + max(4*free, 0)
}

// total is what all partitions hold together.
func (b *budget) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := 0
	for _, bytes := range b.held {
		sum += bytes
	}
	return sum
}
