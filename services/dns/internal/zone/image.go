package zone

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

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

func encodeChanges(changes []rrset.Change) ([]byte, error) {
	stored := make([][]byte, len(changes))
	err := inParts(len(changes), func(from, to int) (err error) {
		for i := from; i < to && err == nil; i++ {
			key := changes[i].Key()
			stored[i], err = json.Marshal(setChange{Name: key.Name, Type: key.Type, Before: ImageOf(changes[i].Before), After: ImageOf(changes[i].After)})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("encode a change: %w", err)
	}
	return slices.Concat([]byte("["), bytes.Join(stored, []byte(",")), []byte("]")), nil
}

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
