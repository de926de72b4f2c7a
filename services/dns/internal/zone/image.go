package zone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Image is a set as it is stored with a change.
type Image struct {
	TTL     uint32        `json:"ttl"`
	Records []imageRecord `json:"records"`
}

type imageRecord struct {
	Value    string `json:"v"`
	Disabled bool   `json:"d,omitempty"`
}

// ImageOf returns the image of a set; nil for nil.
func ImageOf(s *rrset.Set) *Image {
	if s == nil {
		return nil
	}
	image := &Image{TTL: s.TTL, Records: make([]imageRecord, len(s.Records))}
	for i, r := range s.Records {
		image.Records[i] = imageRecord(r)
	}
	return image
}

// Set returns the set of an image; nil for nil.
func (i *Image) Set(key rrset.Key) *rrset.Set {
	if i == nil {
		return nil
	}
	s := &rrset.Set{Key: key, TTL: i.TTL, Records: make([]rrset.Record, len(i.Records))}
	for n, r := range i.Records {
		s.Records[n] = rrset.Record(r)
	}
	return s
}

// setChange is the stored form of an rrset.Change.
type setChange struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Before *Image `json:"before,omitempty"`
	After  *Image `json:"after,omitempty"`
}

// encodeChanges returns an array of setChange. It is written by hand because encoding/json takes longer over a large change than the database does to store it.
func encodeChanges(changes []rrset.Change) []byte {
	parts := make([][]byte, len(changes)/partSize+1)
	_ = inParts(len(changes), func(from, to int) error {
		var text []byte
		for _, c := range changes[from:to] {
			text = append(appendChange(text, c), ',')
		}
		parts[from/partSize] = text
		return nil
	})
	text := bytes.TrimSuffix(slices.Concat(parts...), []byte(","))
	return slices.Concat([]byte("["), text, []byte("]"))
}

func appendChange(dst []byte, c rrset.Change) []byte {
	key := c.Key()
	dst = appendText(append(dst, `{"name":`...), key.Name)
	dst = appendText(append(dst, `,"type":`...), key.Type)
	if c.Before != nil {
		dst = appendImage(append(dst, `,"before":`...), c.Before)
	}
	if c.After != nil {
		dst = appendImage(append(dst, `,"after":`...), c.After)
	}
	return append(dst, '}')
}

// appendImage appends the image of a set.
func appendImage(dst []byte, s *rrset.Set) []byte {
	dst = strconv.AppendUint(append(dst, `{"ttl":`...), uint64(s.TTL), 10)
	dst = append(dst, `,"records":[`...)
	for i, r := range s.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"v":`...), r.Value)
		if r.Disabled {
			dst = append(dst, `,"d":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

func appendText(dst []byte, text string) []byte {
	if strings.ContainsFunc(text, special) {
		quoted, _ := json.Marshal(text) // of a string never fails
		return append(dst, quoted...)
	}
	dst = append(append(dst, '"'), text...)
	return append(dst, '"')
}

// special reports what does not stand for itself in a text of JSON.
func special(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

func decodeChanges(text []byte) ([]rrset.Change, error) {
	var stored []setChange
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, fmt.Errorf("decode a change: %w", err)
	}
	changes := make([]rrset.Change, len(stored))
	for i, c := range stored {
		key := rrset.Key{Name: c.Name, Type: c.Type}
		changes[i] = rrset.Change{Before: c.Before.Set(key), After: c.After.Set(key)}
	}
	return changes, nil
}

// undo is what puts the rows of a domain back as they were before a change.
type undo struct {
	Added   []int64 `json:"added,omitempty"`   // to be removed again
	Before  []Row   `json:"before,omitempty"`  // changed rows as they were
	Removed []Row   `json:"removed,omitempty"` // to be added again, under their ids
	After   after   `json:"after"`
}

func (d *delta) undo(before map[int64]Row) undo {
	u := undo{Removed: d.removed}
	for _, r := range d.added {
		u.Added = append(u.Added, r.ID)
	}
	for _, r := range d.changed {
		u.Before = append(u.Before, before[r.ID])
	}
	return u
}

func (u undo) delta() delta {
	d := delta{changed: u.Before, added: u.Removed}
	for _, id := range u.Added {
		d.removed = append(d.removed, Row{ID: id})
	}
	return d
}
