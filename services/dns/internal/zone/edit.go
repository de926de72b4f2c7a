package zone

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// Edit is a change of one domain's records in the making. It knows the records at the names that it was told to load, and nothing of the
// rest of the zone: what it costs depends on the change.
type Edit struct {
	Domain Domain

	tx     *Tx
	kind   string
	parent *int64
	atOnce bool // who holds another domain looks for its rows, so they are written with it
	loaded map[string]bool
	before map[int64]Row       // as stored
	now    map[rrset.Key][]Row // as they will be; id 0: new
	sorted []rrset.Key         // of now; nil when there is another
	place  map[int64]rrset.Key // where in now a record stands
	added  int                 // records added so far
}

// Load reads the records that stand at canonical names.
func (e *Edit) Load(ctx context.Context, names ...string) error {
	if len(e.now) == 0 && len(e.loaded) == 0 { // what stands at many names has its place at once
		e.now, e.loaded = make(map[rrset.Key][]Row, len(names)), make(map[string]bool, len(names))
	}
	var missing []string
	for _, name := range names {
		if !e.loaded[name] {
			e.loaded[name] = true
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := rowsAt(ctx, e.tx, e.Domain, missing)
	if err != nil {
		return err
	}
	for _, r := range rows {
		e.before[r.ID] = r
		e.put(r)
	}
	return nil
}

// LoadIDs reads the records with these ids, and all that stand at their names. Errors: RECORD_NOT_FOUND.
func (e *Edit) LoadIDs(ctx context.Context, ids ...int64) error {
	names, err := namesOf(ctx, e.tx, e.Domain, ids)
	if err != nil {
		return err
	}
	return e.Load(ctx, names...)
}

func (e *Edit) put(r Row) {
	rows, there := e.now[r.Key()]
	if !there {
		e.sorted = nil
	}
	e.now[r.Key()] = append(rows, r)
	if r.ID != 0 {
		e.place[r.ID] = r.Key()
	}
}

// At returns the loaded records of a set.
func (e *Edit) At(key rrset.Key) []Row { return slices.Clone(e.now[key]) }

// Set returns a loaded set as it will be; nil when there is none.
func (e *Edit) Set(key rrset.Key) *rrset.Set { return setOf(e.now[key]) }

// LoadAll reads all records of the domain. Errors: DOMAIN_TOO_LARGE when it has more than limit.
func (e *Edit) LoadAll(ctx context.Context, limit int) error {
	rows, err := AllRows(ctx, e.tx, e.Domain, limit)
	if err != nil {
		return err
	}
	for _, r := range rows {
		e.loaded[r.Name] = true
		e.before[r.ID] = r
		e.put(r)
	}
	return nil
}

// Keys returns the keys of all loaded sets, in canonical order.
func (e *Edit) Keys() []rrset.Key {
	return slices.DeleteFunc(slices.Clone(e.keys()), func(key rrset.Key) bool { return len(e.now[key]) == 0 })
}

// keys are Keys and those of sets that are no more.
func (e *Edit) keys() []rrset.Key {
	if e.sorted == nil {
		e.sorted = slices.Collect(maps.Keys(e.now))
		slices.SortFunc(e.sorted, rrset.Key.Compare)
	}
	return e.sorted
}

// Row returns a loaded record. Errors: RECORD_NOT_FOUND.
func (e *Edit) Row(id int64) (Row, error) {
	if r := e.row(id); r != nil {
		return *r, nil
	}
	return Row{}, recordNotFound(e.Domain, id)
}

func (e *Edit) row(id int64) *Row {
	rows := e.now[e.place[id]]
	if i := slices.IndexFunc(rows, func(r Row) bool { return r.ID == id && id != 0 }); i >= 0 {
		return &rows[i]
	}
	return nil
}

// Add adds records, whose names are loaded.
func (e *Edit) Add(entries ...rrset.Entry) {
	for _, entry := range entries {
		e.added++
		r := Row{Creator: e.tx.By.User, CreatedAt: e.tx.now, order: e.added}
		r.set(entry)
		e.put(r)
	}
}

// Replace makes a loaded record another, whose name is loaded too, and gives its whole new set the same TTL.
func (e *Edit) Replace(id int64, entry rrset.Entry) {
	r := e.row(id)
	if r == nil {
		return
	}
	changed := *r
	changed.set(entry)
	e.Remove(id)
	e.put(changed)
	for i := range e.now[entry.Key] {
		e.now[entry.Key][i].TTL = int64(entry.TTL)
	}
}

// Remove removes a loaded record.
func (e *Edit) Remove(id int64) {
	key, ok := e.place[id]
	if !ok {
		return
	}
	delete(e.place, id)
	e.now[key] = slices.DeleteFunc(e.now[key], func(r Row) bool { return r.ID == id })
}

// Enable puts a loaded record into service, or takes it out.
func (e *Edit) Enable(id int64, on bool) {
	if r := e.row(id); r != nil {
		r.Disabled = !on
	}
}

// WantPTR says whether the record with this value, which was added or is loaded, is to be followed by a PTR.
func (e *Edit) WantPTR(key rrset.Key, value string, on bool) {
	for i := range e.now[key] {
		if e.now[key][i].Value == value {
			e.now[key][i].wantPTR = &on
		}
	}
}

// SetTo makes a loaded set exactly this; nil removes it. Records that stay keep their ids.
func (e *Edit) SetTo(key rrset.Key, set *rrset.Set) {
	wanted := map[string]rrset.Record{}
	if set != nil {
		for _, r := range set.Records {
			wanted[r.Value] = r
		}
	}
	var rows []Row
	for _, r := range e.now[key] {
		if want, stays := wanted[r.Value]; stays {
			r.TTL, r.Disabled = int64(set.TTL), want.Disabled
			rows = append(rows, r)
			delete(wanted, r.Value)
			continue
		}
		delete(e.place, r.ID)
	}
	e.now[key] = rows
	if set == nil {
		return
	}
	for _, r := range set.Records {
		if _, missing := wanted[r.Value]; missing {
			delete(wanted, r.Value)
			e.Add(rrset.Entry{Key: key, TTL: set.TTL, Record: r})
		}
	}
}

// delta returns how the rows change.
func (e *Edit) delta() delta {
	d := delta{added: make([]Row, e.added)}
	kept := make(map[int64]bool, len(e.before))
	for _, rows := range e.now {
		for _, r := range rows {
			kept[r.ID] = true
			switch {
			case r.ID == 0:
				d.added[r.order-1] = r
			case !r.same(e.before[r.ID]) || r.wantPTR != nil:
				d.changed = append(d.changed, r)
			}
		}
	}
	for id, r := range e.before {
		if !kept[id] {
			d.removed = append(d.removed, r)
		}
	}
	byID := func(a, b Row) int { return cmp.Compare(a.ID, b.ID) }
	d.added = slices.DeleteFunc(d.added, func(r Row) bool { return r.order == 0 }) // taken back before it was written
	slices.SortFunc(d.changed, byID)
	slices.SortFunc(d.removed, byID)
	return d
}

func (d delta) empty() bool { return len(d.added)+len(d.changed)+len(d.removed) == 0 }

// touched returns the names at which something changes.
func (d delta) touched(before map[int64]Row) map[string]bool {
	names := make(map[string]bool, len(d.added)+len(d.removed)+2*len(d.changed))
	for _, r := range d.added {
		names[r.Name] = true
	}
	for _, r := range d.removed {
		names[r.Name] = true
	}
	for _, r := range d.changed {
		names[r.Name], names[before[r.ID].Name] = true, true
	}
	return names
}

// Changes returns the record sets that change, in canonical order.
func (e *Edit) Changes() []rrset.Change {
	before := map[rrset.Key][]Row{}
	for _, r := range e.before {
		before[r.Key()] = append(before[r.Key()], r)
	}
	var changes []rrset.Change
	for _, key := range e.keys() { // which has a place for every set that was loaded
		if b, a := setOf(before[key]), setOf(e.now[key]); !b.Equal(a) {
			changes = append(changes, rrset.Change{Before: b, After: a})
		}
	}
	return changes
}

// setOf puts the rows of one set together; nil when there are none.
func setOf(rows []Row) *rrset.Set {
	if len(rows) == 0 {
		return nil
	}
	s := &rrset.Set{Key: rows[0].Key(), TTL: rows[0].Entry().TTL, Records: make([]rrset.Record, len(rows))}
	for i, r := range rows {
		s.Records[i] = r.Entry().Record
	}
	s.Sort()
	return s
}
