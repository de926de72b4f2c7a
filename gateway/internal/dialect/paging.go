package dialect

import (
	"maps"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/opsdeck/opsdeck/pkg/fault"

	"github.com/opsdeck/opsdeck/gateway/internal/route"
	"github.com/opsdeck/opsdeck/gateway/internal/wire"
)

// Bounds of numbered pages (contract 002, conventions.paging).
const (
	DefaultPageSize = 10
	MaxPageSize     = 100
)

// Names of the parameters of numbered pages, and of what an answer has of them.
const (
	pageNumber = "page"
	pageSize   = "page_size"
	pageCount  = "count"
	pageRows   = "results"
)

// Page is which part of a list a call asks for, and what it takes to ask for another.
type Page struct {
	number, size int64
	path         string // of the call, with a slash behind
	query        url.Values
}

// Paged reports whether a call has numbered pages: its request a page and a page_size, its answer a count and results.
func (d *Dialect) Paged(r *route.Route) bool {
	in, out := r.Input.Descriptor().Fields(), r.RPC.Output().Fields()
	is := func(fields protoreflect.FieldDescriptors, name protoreflect.Name, kind protoreflect.Kind, isList bool) bool {
		field := fields.ByName(name)
		return field != nil && field.Kind() == kind && field.IsList() == isList
	}
	return d.paged && is(in, pageNumber, protoreflect.Int32Kind, false) && is(in, pageSize, protoreflect.Int32Kind, false) &&
		is(out, pageCount, protoreflect.Int64Kind, false) && is(out, pageRows, protoreflect.MessageKind, true)
}

// Page returns the page that a call asks for, whose parameters have no second names any more; nil when it has no numbered pages.
// A service cannot tell a zero from nothing, so that it is refused here. Errors: page or page_size out of bounds.
func (d *Dialect) Page(r *route.Route, u *url.URL, query url.Values) (*Page, error) {
	if !d.Paged(r) {
		return nil, nil //nolint:nilnil // most calls have none
	}
	number, err := parameter(query, pageNumber, 1, 1<<31-1)
	if err != nil {
		return nil, err
	}
	size, err := parameter(query, pageSize, DefaultPageSize, MaxPageSize)
	if err != nil {
		return nil, err
	}
	return &Page{number: number, size: size, path: strings.TrimRight(u.EscapedPath(), "/") + "/", query: query}, nil
}

func parameter(query url.Values, name string, missing, most int64) (int64, error) {
	if !query.Has(name) {
		return missing, nil
	}
	n, err := strconv.ParseInt(query.Get(name), 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, fault.Invalid(name, "must be a whole number from 1 to %d", most).Chinese("必须是 1 到 %d 之间的整数", most)
	}
	return n, nil
}

// appendLinks prints the links to the pages beside this one of a list with so many rows, null where there is none.
func (p *Page) appendLinks(dst []byte, rows int64) []byte {
	last := rows / p.size
	if rows%p.size > 0 || rows == 0 {
		last++
	}
	dst = p.appendLink(append(dst, `"next":`...), p.number+1, p.number < last)
	return p.appendLink(append(dst, `,"prev":`...), min(p.number-1, last), p.number > 1)
}

func (p *Page) appendLink(dst []byte, number int64, exists bool) []byte {
	if !exists {
		return append(dst, "null"...)
	}
	query := maps.Clone(p.query)
	if query == nil {
		query = url.Values{}
	}
	query.Set(pageNumber, strconv.FormatInt(number, 10))
	return wire.AppendString(dst, p.path+"?"+query.Encode())
}
