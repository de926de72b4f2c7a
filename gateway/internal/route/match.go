package route

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// node is a position in a path: what the segments before it left open.
type node struct {
	literal  map[string]*node
	number   *node // a variable that is a whole number
	variable *node // any other
	methods  map[string]*Route
}

// child returns the node behind a literal segment.
func (n *node) child(segment string) *node {
	if n.literal == nil {
		n.literal = map[string]*node{}
	}
	if n.literal[segment] == nil {
		n.literal[segment] = &node{}
	}
	return n.literal[segment]
}

// open returns the node behind a variable.
func (n *node) open(isNumber bool) *node {
	next := &n.variable
	if isNumber {
		next = &n.number
	}
	if *next == nil {
		*next = &node{}
	}
	return *next
}

// Methods are the routes of one path by HTTP method.
type Methods map[string]*Route

// Match returns the routes of a path without a trailing slash; none when nothing is there. A literal segment wins over a
// variable, and one that is a number over others. Only digits match a number: no other text is an id.
func (t *Table) Match(path string) Methods { return t.root.match(strings.TrimPrefix(path, "/")) }

func (n *node) match(path string) Methods {
	segment, rest, more := strings.Cut(path, "/")
	if segment == "" {
		return nil
	}
	nexts := []*node{n.literal[segment], nil, n.variable}
	if isNumber(segment) {
		nexts[1] = n.number
	}
	for _, next := range nexts {
		if next == nil {
			continue
		}
		if !more && next.methods != nil {
			return next.methods
		}
		if more {
			if found := next.match(rest); found != nil {
				return found
			}
		}
	}
	return nil
}

// isNumber reports whether a segment is a whole number in 64 bits, as ids are printed.
func isNumber(segment string) bool {
	_, err := strconv.ParseInt(segment, 10, 64)
	return err == nil && segment[0] != '-' && segment[0] != '+'
}

// For returns the route of an HTTP method; nil when there is none. A HEAD is a GET whose answer stays unread.
func (m Methods) For(method string) *Route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return m[method]
}

// Allow lists what may be done with a path, as in the header of that name.
func (m Methods) Allow() string {
	allowed := []string{http.MethodOptions}
	for method := range m {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return strings.Join(allowed, ", ")
}

// rank is what a segment of a pattern is, those that win first.
type rank uint8

const (
	literal rank = iota
	number
	anyText
)

// checkOrder refuses an order of RPCs in which grpc-gateway would serve a path by another route than Match finds: of all that fit,
// it takes the one that was declared last.
func (t *Table) checkOrder() error {
	var wrong []error
	for i, later := range t.routes {
		for _, earlier := range t.routes[:i] {
			if later.shadows(earlier) {
				wrong = append(wrong, fmt.Errorf("%s %s (%s) hides %s (%s): declare it before that",
					later.Method, later.Pattern, later.RPC.FullName(), earlier.Pattern, earlier.RPC.FullName()))
			}
		}
	}
	return errors.Join(wrong...)
}

// shadows reports whether paths that an earlier route wins fit this one too.
func (r *Route) shadows(earlier *Route) bool {
	if r.Method != earlier.Method || len(r.order) != len(earlier.order) {
		return false
	}
	mine, theirs := segments(r.Pattern), segments(earlier.Pattern)
	for i := range mine {
		if r.order[i] == literal && earlier.order[i] == literal && mine[i] != theirs[i] {
			return false
		}
	}
	return slices.Compare(earlier.order, r.order) < 0
}

func segments(pattern string) []string { return strings.Split(strings.TrimPrefix(pattern, "/"), "/") }
