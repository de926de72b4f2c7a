package password

import (
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/opsdeck/opsdeck/pkg/fault"
)

// classes are the kinds of characters there are: lower case, upper case, digits and others.
const classes = 4

// Policy says which passwords may be chosen. The defaults are the documents'.
type Policy struct {
	MinLength  int `env:"MIN_LENGTH" envDefault:"8" help:"Characters that a new password must have at least."`
	MinClasses int `env:"MIN_CLASSES" envDefault:"3" help:"How many of the four kinds of characters (lower case, upper case, digits, others) a new password must have."`
}

// Validate refuses a policy that no password, or every password, meets.
func (p Policy) Validate() error {
	switch {
	case p.MinLength < 1 || p.MinLength > 128:
		return fmt.Errorf("the least length of a password is %d, want 1 to 128", p.MinLength)
	case p.MinClasses < 1 || p.MinClasses > classes:
		return fmt.Errorf("a password needs %d kinds of characters, want 1 to %d", p.MinClasses, classes)
	}
	return nil
}

// Check refuses a password that breaks a rule: PASSWORD_WEAK, with the rule in the metadata. field is what the request calls
// the password.
func (p Policy) Check(field, password string) error {
	if n := utf8.RuneCountInString(password); n < p.MinLength {
		return weak("min_length", field, "must have at least %d characters, has %d", p.MinLength, n).With("min_length", strconv.Itoa(p.MinLength))
	}
	if n := kinds(password); n < p.MinClasses {
		return weak("min_classes", field, "must have at least %d of lower case, upper case, digits and other characters, has %d", p.MinClasses, n).
			With("min_classes", strconv.Itoa(p.MinClasses))
	}
	return nil
}

func weak(rule, field, format string, args ...any) *fault.Fault {
	f := fault.Invalid(field, format, args...).With("rule", rule)
	f.Code, f.Reason = codes.InvalidArgument, "PASSWORD_WEAK"
	return f
}

func kinds(password string) int {
	var has [classes]bool
	for _, r := range password {
		switch {
		case unicode.IsLower(r):
			has[0] = true
		case unicode.IsUpper(r):
			has[1] = true
		case unicode.IsDigit(r):
			has[2] = true
		default:
			has[3] = true
		}
	}
	n := 0
	for _, found := range has {
		if found {
			n++
		}
	}
	return n
}
