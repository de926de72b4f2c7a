package rrset

import (
	"slices"
	"strings"
)

// Collect puts entries together into sets, in canonical order, and reports records that are there twice and sets with more than one TTL.
func Collect(entries []Entry) ([]Set, Problems) {
	if len(entries) == 1 { // as at most names
		return []Set{{Key: entries[0].Key, TTL: entries[0].TTL, Records: []Record{entries[0].Record}}}, nil
	}
	var sets []Set
	var problems Problems
	place := map[Key]int{}
	seen := map[Entry]bool{}
	for _, e := range entries {
		id := Entry{Key: e.Key, Record: Record{Value: e.Value}}
		if seen[id] {
			problems = append(problems, broken(RuleDuplicate, "the record is there twice", "记录重复").of(e.String()))
			continue
		}
		seen[id] = true
		i, ok := place[e.Key]
		if !ok {
			i = len(sets)
			place[e.Key] = i
			sets = append(sets, Set{Key: e.Key, TTL: e.TTL})
		}
		if sets[i].TTL != e.TTL {
			problems = append(problems, broken(RuleOneTTL, "the TTL is %d, but other records of this name and type have %d; they are served under one",
				"TTL 为 %d，而同名同类型的其他记录为 %d；它们共用一个 TTL", e.TTL, sets[i].TTL).of(e.String()))
			continue
		}
		sets[i].Records = append(sets[i].Records, e.Record)
	}
	for i := range sets {
		sets[i].Sort()
	}
	slices.SortFunc(sets, func(a, b Set) int { return a.Compare(b.Key) })
	return sets, problems
}

// MaxRecords is the most enabled records of one name and type. BIND refuses more by default (max-records-per-type), since answers and updates
// become slow.
const MaxRecords = 100

// CheckName holds the rules about what stands together at one name against all sets of that name. Disabled records count for nothing:
// they are checked when they are enabled. For the zone's own name it also demands the SOA and an NS, so it is asked about that name even
// when nothing is left there.
func CheckName(zone, name string, sets []Set) Problems {
	if len(sets) == 1 && len(sets[0].Records) == 1 && name != zone {
		return nil // it has no company
	}
	live := map[string]*Set{}
	for i := range sets {
		if s := sets[i].Live(); s != nil {
			live[s.Type] = s
		}
	}
	problems := checkAlias(zone, name, live)
	for _, s := range live {
		if len(s.Records) > MaxRecords {
			problems = append(problems, broken(RuleTooLong, "the set has %d records, more than %d, which is what name servers take", "该记录集有 %d 条记录，超过域名服务器所接受的 %d 条",
				len(s.Records), MaxRecords).of(s.String()))
		}
	}
	if name == zone {
		problems = append(problems, checkApex(zone, live)...)
	}
	for _, typ := range []string{"MX", "SRV"} {
		if s := live[typ]; s != nil && len(s.Records) > 1 {
			for _, e := range s.Entries() {
				if strings.HasSuffix(e.Value, " .") {
					problems = append(problems, broken(RuleNullTarget, "the record says that there is no service, so it stands alone in its set",
						"该记录表示不提供服务，因此同名同类型下只能有它一条").of(e.String()))
				}
			}
		}
	}
	return problems
}

func checkAlias(zone, name string, live map[string]*Set) Problems {
	alias := live["CNAME"]
	if alias == nil {
		return nil
	}
	record := alias.Entries()[0].String()
	switch {
	case name == zone:
		return Problems{broken(RuleAliasAtApex, "the zone's own name cannot be a CNAME: the SOA and NS stand there", "域名本身不能是 CNAME：SOA 和 NS 位于此处").of(record)}
	case len(alias.Records) > 1:
		return Problems{broken(RuleAlias, "a name has one CNAME at most", "一个名称最多有一条 CNAME").of(alias.Entries()[1].String())}
	case len(live) > 1:
		var others []string
		for typ := range live {
			if typ != "CNAME" {
				others = append(others, typ)
			}
		}
		slices.Sort(others)
		list := strings.Join(others, ", ")
		return Problems{broken(RuleAlias, "a CNAME stands alone at its name, which also has %s", "CNAME 须独占其名称，而该名称还有 %s 记录", list).of(record)}
	}
	return nil
}

func checkApex(zone string, live map[string]*Set) Problems {
	var problems Problems
	if s := live["SOA"]; s == nil {
		problems = append(problems, broken(RuleAuthority, "the zone keeps its SOA: it can be changed, not deleted or disabled", "域必须保留 SOA：可以修改，不能删除或禁用").of(zone+" SOA"))
	} else if len(s.Records) > 1 {
		problems = append(problems, broken(RuleAuthority, "a zone has exactly one SOA", "一个域只能有一条 SOA").of(s.Entries()[1].String()))
	}
	if live["NS"] == nil {
		problems = append(problems, broken(RuleApexServers, "the zone keeps at least one NS at its own name", "域名本身至少保留一条 NS 记录").of(zone+" NS"))
	}
	return problems
}

// Targets returns the names in the zone that the served records of an NS, MX or SRV set point to: those that must not be a CNAME.
func Targets(zone string, set *Set) []string {
	if !points(set.Type) {
		return nil
	}
	var names []string
	for _, e := range set.Live().Entries() {
		if name := target(e); InZone(name, zone) {
			names = append(names, name)
		}
	}
	return names
}

// points reports the types whose targets must not be aliases.
func points(typ string) bool { return typ == "NS" || typ == "MX" || typ == "SRV" }

// target returns where an NS, MX or SRV points to.
func target(e Entry) string { return e.Value[strings.LastIndexByte(e.Value, ' ')+1:] }

// CheckTargets reports the records of an NS, MX or SRV set that point to a CNAME of the zone. isAlias is asked about Targets only.
func CheckTargets(zone string, set *Set, isAlias func(name string) bool) Problems {
	if !points(set.Type) {
		return nil
	}
	var problems Problems
	for _, e := range set.Live().Entries() {
		if name := target(e); InZone(name, zone) && isAlias(name) {
			problems = append(problems, broken(RuleTargetAlias, "an %s cannot point to %s, which is a CNAME", "%s 记录不能指向 %s，因为它是 CNAME", e.Type, name).of(e.String()))
		}
	}
	return problems
}

// CheckZone holds every rule about sets that stand together against a whole zone, for instance one that is being imported.
func CheckZone(zone string, sets []Set) Problems {
	byName := map[string][]Set{zone: nil}
	for _, s := range sets {
		byName[s.Name] = append(byName[s.Name], s)
	}
	isAlias := func(name string) bool {
		return slices.ContainsFunc(byName[name], func(s Set) bool { return s.Type == "CNAME" && s.Live() != nil })
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.SortFunc(names, compareNames)
	var problems Problems
	for _, name := range names {
		problems = append(problems, CheckName(zone, name, byName[name])...)
		for i := range byName[name] {
			problems = append(problems, CheckTargets(zone, &byName[name][i], isAlias)...)
		}
	}
	return problems
}
