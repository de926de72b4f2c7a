package filter

import (
	"regexp"
)

// shadows are the names of the tables with which tools change a table online: they fill a copy of it and swap the two by renaming.
// gh-ost calls the copy _t_gho and the old table _t_del, or _t_20240131235959_del; pt-online-schema-change calls them _t_new and _t_old,
// with more underscores in front where those exist already.
var shadows = regexp.MustCompile(`^(_)(.+?)((?:_\d{14})?_(?:gho|del))$|^(_+)(.+)(_(?:new|old))$`)

// shadow is what the rules say of a table as the shadow of another one: the same as of that one, under the name that the tool would
// have given at the target. It is nil for other names, and where no rule speaks of the other table.
func (s *schema) shadow(name string) *Choice {
	m := shadows.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	prefix, base, suffix := m[1]+m[4], m[2]+m[5], m[3]+m[6]
	c := s.direct(base)
	if c == nil || c.Rule == nil {
		return nil
	}
	return &Choice{Rule: c.Rule, Target: prefix + c.Target + suffix}
}
