// Package menu is the catalogue of what roles can open: menus, pages and the operations on them.
package menu

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// Item is a menu, or a page under one. Its JSON is that of the documents.
type Item struct {
	Name       string      `json:"name"`
	TextCN     string      `json:"text_cn"`
	TextEN     string      `json:"text_en"`
	MenuLevel  int32       `json:"menu_level"`
	MenuURL    string      `json:"menu_url"`
	ID         int32       `json:"id"`
	ParentID   int32       `json:"parent_id"`
	Operations []Operation `json:"operations"`
	AdminOnly  bool        `json:"admin_only"`
}

// Operation is one thing that may be done on a page.
type Operation struct {
	Action string `json:"action"`
	URI    string `json:"uri"`
	TextCN string `json:"text_cn"`
	TextEN string `json:"text_en"`
}

//go:embed catalogue.json
var catalogueText []byte

var (
	catalogue = read(catalogueText)
	// authority is the catalogue as the authority of a role that opens everything.
	authority = compact(catalogue)
	actionOf  = byURI(catalogue)
)

func read(text []byte) []Item {
	var items []Item
	if err := json.Unmarshal(text, &items); err != nil {
		panic("menu: catalogue.json: " + err.Error()) // it is part of the program
	}
	return items
}

func compact(items []Item) string {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(items); err != nil {
		panic("menu: print the catalogue: " + err.Error())
	}
	return strings.TrimSpace(text.String())
}

func byURI(items []Item) map[string]string {
	actions := map[string]string{}
	for _, item := range items {
		for _, o := range item.Operations {
			actions[o.URI] = o.Action
		}
	}
	return actions
}

// All returns the whole catalogue.
func All() []Item { return slices.Clone(catalogue) }

// Authority returns the whole catalogue as JSON text.
func Authority() string { return authority }

// ActionOf returns the action that opens a path; "" when only the role admin may go there.
func ActionOf(uri string) string { return actionOf[uri] }

// Parse reads the authority of a role and returns the actions that it opens. Menus, pages and actions that the catalogue does
// not have are refused: ACTION_UNKNOWN.
func Parse(authority string) ([]string, error) {
	items, err := parse(authority)
	if err != nil {
		return nil, err
	}
	actions := []string{}
	for i, item := range items {
		known := slices.IndexFunc(catalogue, func(k Item) bool { return k.Name == item.Name })
		if known < 0 {
			return nil, unknown("authority[%d].name: there is no menu %q: see /v2/user/list_action", i, item.Name)
		}
		for j, o := range item.Operations {
			if !slices.ContainsFunc(catalogue[known].Operations, func(k Operation) bool { return k.Action == o.Action && k.URI == o.URI }) {
				return nil, unknown("authority[%d].operations[%d]: menu %s has no action %q with uri %q: see /v2/user/list_action",
					i, j, item.Name, o.Action, o.URI)
			}
			actions = append(actions, o.Action)
		}
	}
	slices.Sort(actions)
	return slices.Compact(actions), nil
}

func parse(authority string) ([]Item, error) {
	var items []Item
	if err := json.Unmarshal([]byte(authority), &items); err != nil {
		return nil, fault.Invalid("authority", "must be the JSON text of an array of menu items: %v", err)
	}
	return items, nil
}

func unknown(format string, args ...any) error {
	return &fault.Fault{Code: codes.InvalidArgument, Reason: "ACTION_UNKNOWN", Message: fmt.Sprintf(format, args...)}
}

// Select returns the part of the catalogue that stored authorities name, with the operations that any of them opens.
func Select(authorities ...string) ([]Item, error) {
	var items []Item
	for _, authority := range authorities {
		more, err := parse(authority)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	var selected []Item
	for _, known := range catalogue {
		if !slices.ContainsFunc(items, func(item Item) bool { return item.Name == known.Name }) {
			continue
		}
		part := known
		part.Operations = nil
		for _, o := range known.Operations {
			if slices.ContainsFunc(items, func(item Item) bool { return item.Name == known.Name && item.opens(o.Action) }) {
				part.Operations = append(part.Operations, o)
			}
		}
		selected = append(selected, part)
	}
	return selected, nil
}

func (i Item) opens(action string) bool {
	return slices.ContainsFunc(i.Operations, func(o Operation) bool { return o.Action == action })
}
