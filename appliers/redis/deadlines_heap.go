package redis

// The heap of deadlines, with the first to come in front.

// fix brings e to its place after a change of its deadlines, or removes it.
func (d *Deadlines) fix(e *deadlineEntry) {
	e.due = e.applied
	for _, p := range e.pends {
		e.due = min(e.due, p)
	}
	if len(e.pends) == 0 {
		delete(d.pended, e)
	}
	if e.due != never {
		if !d.up(e.at) {
			d.down(e.at)
		}
		return
	}
	delete(e.db.keys, e.key)
	d.size.Add(-1)
	last := len(d.heap) - 1
	at := e.at
	d.exchange(at, last)
	d.heap[last] = nil
	d.heap = d.heap[:last]
	if at < last && !d.up(at) {
		d.down(at)
	}
}

func (d *Deadlines) exchange(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].at, d.heap[j].at = i, j
}

func (d *Deadlines) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if d.heap[parent].due <= d.heap[i].due {
			break
		}
		d.exchange(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (d *Deadlines) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(d.heap); child++ {
			if d.heap[child].due < d.heap[least].due {
				least = child
			}
		}
		if least == i {
			return
		}
		d.exchange(i, least)
		i = least
	}
}

// placeHeap is a heap of places in another heap, ordered by what stands there.
type placeHeap struct {
	heap []*deadlineEntry
	at   []int
}

func (p *placeHeap) less(i, j int) bool { return p.heap[p.at[i]].due < p.heap[p.at[j]].due }

func (p *placeHeap) push(place int) {
	p.at = append(p.at, place)
	for i := len(p.at) - 1; i > 0 && p.less(i, (i-1)/2); i = (i - 1) / 2 {
		p.at[i], p.at[(i-1)/2] = p.at[(i-1)/2], p.at[i]
	}
}

func (p *placeHeap) pop() int {
	top, last := p.at[0], len(p.at)-1
	p.at[0] = p.at[last]
	p.at = p.at[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if p.less(child, least) {
				least = child
			}
		}
		if least == i {
			return top
		}
		p.at[i], p.at[least] = p.at[least], p.at[i]
		i = least
	}
}
