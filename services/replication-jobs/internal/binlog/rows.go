package binlog

import (
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/origin"
)

// Kind says what a rows event does.
type Kind uint8

// The kinds of rows events.
const (
	Insert Kind = iota + 1
	Update
	Delete
)

// String is the kind in words.
func (k Kind) String() string {
	return [...]string{"unknown", "insert", "update", "delete"}[k]
}

// Rows are the rows that one event inserts, updates or deletes in one table.
type Rows struct {
	Schema, Table string
	Kind          Kind
	// ColumnTypes are the types of the columns at the source, as the protocol numbers them.
	ColumnTypes []byte
	// Shape is the table's definition at that moment; nil unless the stream reads metadata.
	Shape *Shape
	// Offset is where the event begins in the source's file.
	Offset uint32
	// IgnoresForeignKeys is set when the source's session had foreign_key_checks off.
	IgnoresForeignKeys bool

	origin *string // of a job's record: the name in it

	event *replication.RowsEvent
	body  int // offset of the rows in data
	data  []byte

	decoded bool
	images  []Image
	err     error
}

// Image is a row. A nil value is NULL.
type Image struct {
	Values []any
	// Missing are the indexes of columns that the log leaves out.
	Missing []int
}

// foreignKeysOff is NO_FOREIGN_KEY_CHECKS_F of the rows event's flags.
const foreignKeysOff = 0x2

// decodeHeader is called by the parser in place of a complete decoding, which is left to Images: it costs much more, and neither
// tables outside the selection nor the goroutine that reads the network need it.
func decodeHeader(event *replication.RowsEvent, data []byte) (*Rows, error) {
	body, err := event.DecodeHeader(data)
	if err != nil {
		return nil, err
	}
	return &Rows{
		Schema: string(event.Table.Schema), Table: string(event.Table.Table), Kind: kindOf(event.Type()), ColumnTypes: event.Table.ColumnType,
		IgnoresForeignKeys: event.Flags&foreignKeysOff != 0,
		event:              event, body: body, data: data,
	}, nil
}

// errPartial is returned for events that hold only the difference of a JSON document, type 39 of MySQL 8.
var errPartial = errors.New("the source logs partial JSON updates; set binlog_row_value_options='' there")

func kindOf(t replication.EnumRowsEventType) Kind {
	switch t {
	case replication.EnumRowsEventTypeInsert:
		return Insert
	case replication.EnumRowsEventTypeUpdate:
		return Update
	case replication.EnumRowsEventTypeDelete:
		return Delete
	default:
		return 0
	}
}

// Decode decodes the rows for a later Images, which may be in another goroutine.
func (r *Rows) Decode() {
	if !r.decoded {
		r.images, r.err = r.decode()
		r.decoded, r.event, r.data = true, nil, nil
	}
}

// readOrigin reads the name in the last row.
func (r *Rows) readOrigin() error {
	images, err := r.Images()
	if err != nil {
		return err
	}
	var name string
	if len(images) > 0 {
		name = origin.OfRow(r.Table, images[len(images)-1].Values)
	}
	r.origin = &name
	return nil
}

// Images returns the rows, decoded unless they are already; those of an update alternate between before and after. It may be called once:
// the rows are not kept.
func (r *Rows) Images() ([]Image, error) {
	r.Decode()
	images := r.images
	r.images = nil
	return images, r.err
}

func (r *Rows) decode() ([]Image, error) {
	if err := r.event.DecodeData(r.body, r.data); err != nil {
		return nil, fmt.Errorf("decode a rows event of table %s.%s: %w", r.Schema, r.Table, err)
	}
	images := make([]Image, len(r.event.Rows))
	for i, values := range r.event.Rows {
		r.respell(values)
		images[i] = Image{Values: values, Missing: r.event.SkippedColumns[i]}
	}
	if r.Kind == Update && len(images)%2 != 0 {
		return nil, fmt.Errorf("decode a rows event of table %s.%s: an update has a row before but none after", r.Schema, r.Table)
	}
	return images, nil
}
