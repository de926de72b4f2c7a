package zonefile

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/opsdeck/opsdeck/services/dns/internal/rrset"
)

// columns of a CSV file, in the order in which they are written; the first three are required.
var columns = []string{"name", "type", "value", "ttl", "disabled", "priority"}

const (
	required = 3
	written  = 5 // the priority is part of the value
)

// ReadCSV reads records from CSV (RFC 4180) whose first line names the columns, in any order: name, type and value, and optionally
// ttl (seconds), disabled (true or false) and priority. An empty cell is as good as none. The error is Problems, or what the reader failed with.
func ReadCSV(zone string, defaultTTL uint32, r io.Reader) ([]rrset.Entry, error) {
	buffered := bufio.NewReader(r)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(len(mark)) // what Excel puts in front; peeked, so it is there
	}
	in := &input{r: buffered}
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	c := collector{zone: zone, defaultTTL: defaultTTL}
	place, err := header(rows)
	if err == nil {
		err = c.rows(rows, place)
	}
	switch syntax := (*csv.ParseError)(nil); {
	case err == nil:
	case errors.As(err, &syntax):
		c.refuse(syntax.Line, syntax.Err, false)
	case errors.Is(err, errHeader):
		c.refuse(1, err, false)
	case errors.Is(err, errTooLarge), errors.Is(err, errTooLong):
		c.refuse(in.here(), err, false)
	default:
		return nil, fmt.Errorf("read the CSV file: %w", err)
	}
	return c.result()
}

var errHeader = errors.New("the first line names the columns: name, type, value, and optionally ttl, disabled, priority")

// header reads the first row and returns where each column stands.
func header(rows *csv.Reader) (map[string]int, error) {
	names, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file is empty; %w", errHeader)
	}
	if err != nil {
		return nil, err
	}
	place := map[string]int{}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := place[name]; twice || !slices.Contains(columns, name) {
			return nil, fmt.Errorf("column %d is unknown or there twice; %w", i+1, errHeader)
		}
		place[name] = i
	}
	for _, name := range columns[:required] {
		if _, ok := place[name]; !ok {
			return nil, fmt.Errorf("there is no column %s; %w", name, errHeader)
		}
	}
	return place, nil
}

func (c *collector) rows(rows *csv.Reader, place map[string]int) error {
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := rows.FieldPos(0)
		cell := func(name string) string {
			if i, ok := place[name]; ok {
				return row[i]
			}
			return ""
		}
		d, err := draft(cell)
		if err != nil && !c.refuse(line, err, true) || err == nil && !c.add(line, d) {
			return nil
		}
	}
}

// draft reads the cells of one row.
func draft(cell func(name string) string) (rrset.Draft, error) {
	d := rrset.Draft{Name: cell("name"), Type: cell("type"), Value: cell("value")}
	var err error
	if d.TTL, err = number("ttl", cell("ttl")); err != nil {
		return d, err
	}
	if d.Priority, err = number("priority", cell("priority")); err != nil {
		return d, err
	}
	if text := cell("disabled"); text != "" {
		if d.Disabled, err = strconv.ParseBool(strings.ToLower(text)); err != nil {
			return d, fmt.Errorf("disabled is %.40q, want true or false", text)
		}
	}
	return d, nil
}

func number(column, text string) (*int64, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // an empty cell is no number and no error
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is %.40q, want a number", column, text)
	}
	return &n, nil
}

// WriteCSV writes records as ReadCSV reads them, in the order of the sets.
func WriteCSV(w io.Writer, sets iter.Seq2[rrset.Set, error]) error {
	out := csv.NewWriter(w)
	_ = out.Write(columns[:written]) // Error reports it
	for set, err := range sets {
		if err != nil {
			return err
		}
		set.Sort()
		for _, e := range set.Entries() {
			_ = out.Write([]string{e.Name, e.Type, e.Value, strconv.FormatUint(uint64(e.TTL), 10), strconv.FormatBool(e.Disabled)})
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write the CSV file: %w", err)
	}
	return nil
}
