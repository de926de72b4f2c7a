package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/ddl"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/fullcopy"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mapping"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
)

// table verifies a table behind what is done of it.
func (v *Verifier) table(ctx context.Context, schema, name string) error {
	t, err := v.load(v.source, v.target, ddl.Name{Schema: schema, Table: name})
	switch {
	case err != nil:
		return v.strange(ctx, ddl.Name{Schema: schema, Table: name}, err)
	case t.key == nil:
		return v.multiset(ctx, t)
	}
	var l looked
	for from := v.at.Key; ; {
		c, err := v.look(ctx, t, from)
		if err != nil {
			return err
		}
		l.add(c)
		from = c.end
		if l.due() || c.end == nil {
			found, err := v.settle(ctx, t, l.suspects)
			if err != nil {
				return err
			}
			v.note(found, from, l)
			l = looked{}
		}
		if err := v.pace(ctx, c.rows); err != nil || c.end == nil {
			return err
		}
	}
}

// looked is what was looked at and is not settled.
type looked struct {
	chunks, rows int64
	suspects     [][]byte
	since        time.Time // of the first suspect
}

func (l *looked) add(c chunk) {
	l.chunks++
	l.rows += c.rows
	if len(l.suspects) == 0 {
		l.since = time.Now()
	}
	l.suspects = append(l.suspects, c.suspects...)
}

// due reports whether suspects are to be settled, or that there are none.
func (l *looked) due() bool {
	return len(l.suspects) == 0 || len(l.suspects) >= maxSuspects || time.Since(l.since) >= settleEvery
}

// note tells the desk of what was found up to a key. A run that ends before goes on from there.
func (v *Verifier) note(found []Difference, key []byte, l looked) {
	v.at.Chunks += l.chunks
	v.at.Rows += l.rows
	for i := range found {
		v.at.Found++
		found[i].Pass, found[i].Number = v.at.Pass, v.at.Found
		if found[i].Repaired {
			v.at.Repaired++
		}
	}
	v.at.Key = key
	room := max(0, MaxKept-(v.at.Found-int64(len(found))))
	v.say(Running, found[:min(int64(len(found)), room)]...)
}

// chunk is what a first look has found: the keys of suspects, and the end of the part that was looked at, nil at the table's.
type chunk struct {
	suspects [][]byte
	rows     int64
	end      []byte
}

// look compares the rows behind a key. It reads a chunk of the source and what the target has in its place; where that is much more, only as
// much of both. The bounds of both are compared by each server itself: rows that it orders in another way become suspects.
func (v *Verifier) look(ctx context.Context, t *table, from []byte) (chunk, error) {
	here, err := v.read(ctx, v.source, t, t.source, t.rows, from, nil, chunkRows)
	if err != nil {
		return chunk{}, fmt.Errorf("read %s from the source: %w", t, err)
	}
	there, err := v.read(ctx, v.target, t, t.target, nil, from, here.end, 2*chunkRows)
	if err != nil {
		return chunk{}, fmt.Errorf("read %s from the target: %w", t, err)
	}
	end := here.end
	if there.end != nil {
		end = there.end
		if here, err = v.read(ctx, v.source, t, t.source, t.rows, from, end, 0); err != nil {
			return chunk{}, fmt.Errorf("read %s from the source: %w", t, err)
		}
	}
	c := chunk{rows: here.count, end: end}
	for key, sum := range here.rows {
		if other, ok := there.rows[key]; !ok || other != sum {
			c.suspects = append(c.suspects, []byte(key))
		}
	}
	for key := range there.rows {
		if _, ok := here.rows[key]; !ok {
			c.suspects = append(c.suspects, []byte(key))
		}
	}
	return c, nil
}

// part is a number of rows that follow each other: their digests by key, how many there were with those that are not replicated, and the
// last key if the limit was met.
type part struct {
	rows  map[string]digest
	count int64
	end   []byte
}

func (v *Verifier) read(ctx context.Context, c *mysql.Conn, t *table, s side, rows *mapping.Rows, from, to []byte, limit int64) (part, error) {
	query, err := t.between(s, from, to, limit)
	if err != nil {
		return part{}, err
	}
	p := part{rows: map[string]digest{}}
	var scratch, last []byte
	err = t.selectRows(ctx, c, query, nil, func(row []gomysql.FieldValue) error {
		p.count++
		last = t.keyOf(row)
		taken, err := rows.MatchCopied(row, t.place)
		if err != nil || !taken {
			return err
		}
		var sum digest
		sum, scratch = t.digest(row, scratch)
		p.rows[string(last)] = sum
		return nil
	})
	if limit > 0 && p.count == limit {
		p.end = last
	}
	return p, err
}

// between is the query for rows behind one key and up to another, in the order of the key.
func (t *table) between(s side, from, to []byte, limit int64) (string, error) {
	query := "SELECT " + s.values + " FROM " + s.name
	var conditions []string
	for _, bound := range []struct {
		key  []byte
		part func([]byte, []mysql.Column) (string, error)
	}{{from, fullcopy.Behind}, {to, fullcopy.UpTo}} {
		if bound.key == nil {
			continue
		}
		condition, err := bound.part(bound.key, t.key)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, "("+condition+")")
	}
	if len(conditions) > 0 {
		query += " WHERE " + strings.Join(conditions, " AND ")
	}
	order := make([]string, len(t.key))
	for i, c := range t.key {
		order[i] = mysql.QuoteIdent(c.Name)
	}
	query += " ORDER BY " + strings.Join(order, ", ")
	if limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", limit)
	}
	return query, nil
}
