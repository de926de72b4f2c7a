// Package page gives lists keyset pagination: a page size with a default and a cap, and an opaque token that
// says after which key the next page starts.
package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// maxToken bounds what a caller can make the decoder read.
const maxToken = 2048

// Limits are the page sizes of one list.
type Limits struct {
	Default int // for callers that ask for none
	Max     int // more is cut to this
}

// Size returns the page size to use for the requested one.
func (l Limits) Size(requested int32) int {
	if requested <= 0 {
		return l.Default
	}
	return min(int(requested), l.Max)
}

type token[K any] struct {
	Scope string `json:"s"`
	After K      `json:"k"`
}

// Token makes the token of the page that starts after a key. The scope names the list and its filter, so that a
// token of one list is refused by another.
func Token[K any](scope string, after K) (string, error) {
	js, err := json.Marshal(token[K]{scope, after})
	if err != nil {
		return "", fmt.Errorf("page token of %s: %w", scope, err)
	}
	text := base64.RawURLEncoding.EncodeToString(js)
	if len(text) > maxToken {
		return "", fmt.Errorf("page token of %s is %d bytes long, more than %d", scope, len(text), maxToken)
	}
	return text, nil
}

// After reads the key out of a page token; ok is false for the empty token of a first page. A token that Token
// did not make for this scope is an invalid page_token.
func After[K any](scope, text string) (after K, ok bool, err error) {
	if text == "" {
		return after, false, nil
	}
	t, err := decode[K](text)
	if err == nil && t.Scope != scope {
		err = errors.New("it belongs to another list or filter")
	}
	if err != nil {
		var zero K
		return zero, false, fault.Invalid("page_token", "not a page token of this list: take next_page_token of the answer before, with the same filter").Wrap(err)
	}
	return t.After, true, nil
}

// Cut takes rows of a query that asked for one row more than size, and returns at most size of them with the
// token of the next page, empty on the last.
func Cut[T, K any](scope string, rows []T, size int, key func(T) K) ([]T, string, error) {
	if len(rows) <= size {
		return rows, "", nil
	}
	rows = rows[:size]
	next, err := Token(scope, key(rows[size-1]))
	return rows, next, err
}

func decode[K any](text string) (token[K], error) {
	var t token[K]
	if len(text) > maxToken {
		return t, errors.New("too long")
	}
	js, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return t, err
	}
	d := json.NewDecoder(bytes.NewReader(js))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return t, errors.New("trailing data")
	}
	return t, nil
}
