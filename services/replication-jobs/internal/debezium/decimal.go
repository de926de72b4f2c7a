package debezium

import (
	"encoding/binary"
	"math/big"
	"strings"
)

// smallDigits is how many decimal digits an int64 holds whatever they are.
const smallDigits = 18

// appendDecimal writes a decimal as Connect's Decimal: the digits without the point, as the shortest big-endian two's complement, in base64.
func appendDecimal(dst []byte, s string, scale int) ([]byte, error) {
	digits, fraction, _ := strings.Cut(s, ".")
	if len(fraction) > scale || strings.TrimPrefix(digits, "-") == "" {
		return dst, errValue
	}
	digits += fraction + strings.Repeat("0", scale-len(fraction))
	if len(digits) <= smallDigits {
		n, ok := smallInt(digits)
		if !ok {
			return dst, errValue
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(n))
		return appendBase64(dst, shortest(b[:])), nil
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return dst, errValue
	}
	return appendBase64(dst, twosComplement(n)), nil
}

// smallInt reads an optional sign and digits.
func smallInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	var n int64
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n, digits != ""
}

// shortest drops leading bytes that only repeat the sign.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

func twosComplement(n *big.Int) []byte {
	size := n.BitLen()/8 + 1
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size*8)))
	}
	return shortest(n.FillBytes(make([]byte, size)))
}
