package wire

// path is the way from a body to a value in it, step by step. It becomes text where an error names it; the body itself is "".
type path []step

type step struct {
	name  string // of a member
	index int    // of an element; of a member none
}

const none = -1

func (p *path) member(name string) { *p = append(*p, step{name, none}) }

func (p *path) element(i int) { *p = append(*p, step{"", i}) }

// back goes one step back.
func (p *path) back() { *p = (*p)[:len(*p)-1] }

// last returns the name of the member that the last step leads to.
func (p path) last() string { return p[len(p)-1].name }

func (p path) String() string {
	text := ""
	for _, s := range p {
		if s.index == none {
			text = join(text, s.name)
		} else {
			text = index(text, s.index)
		}
	}
	return text
}
