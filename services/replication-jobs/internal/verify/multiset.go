package verify

import (
	"encoding/binary"
	"math/bits"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// multiset tells whether two ends have the same rows in whatever order, how often each of them included.
type multiset struct {
	rows int64
	sum  [4]uint64 // of the digests, modulo 2^256
}

func (m *multiset) add(d digest) {
	m.rows++
	var carry uint64
	for i := range m.sum {
		m.sum[i], carry = bits.Add64(m.sum[i], binary.LittleEndian.Uint64(d[8*i:]), carry)
	}
}

// clone copies a value that is valid only until the next row comes.
func clone(v *gomysql.FieldValue) gomysql.FieldValue {
	switch v.Type {
	case gomysql.FieldValueTypeUnsigned:
		return gomysql.NewFieldValue(v.Type, v.AsUint64(), nil)
	case gomysql.FieldValueTypeSigned, gomysql.FieldValueTypeFloat:
		return *v
	case gomysql.FieldValueTypeNull:
		return *v
	}
	return gomysql.NewFieldValue(v.Type, 0, append([]byte(nil), v.AsString()...))
}
