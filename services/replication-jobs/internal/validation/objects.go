package validation

import (
	"slices"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/objects"
)

// objects warns of what the source has besides tables that the job leaves out, and says what the accounts lack for the rest.
func (v *validator) objects() error {
	all, err := objects.List(v.source.Conn, v.job.Mapping)
	if err != nil {
		return err
	}
	if left := objects.Except(all, v.job.Objects); len(left) > 0 {
		v.report.Warnings.add("the source has these, which the job does not replicate: %s", objects.Describe(left))
	}
	if v.job.Copies {
		v.mayRead()
	}
	return nil
}

// readable are the privileges without which an account does not see definitions of a kind, or not all of them. Those of a schema count where they are
// held on the schema, those of the server's own tables on these.
var readable = []struct {
	kind       objects.Kind
	privileges []string
}{
	{objects.Views, []string{"SHOW VIEW"}},
	{objects.Triggers, []string{"TRIGGER"}},
	{objects.Events, []string{"EVENT"}},
}

// mayRead says which objects the source's account would not see.
func (v *validator) mayRead() {
	g, p := v.source.grants, v.report.Source.Privileges
	for _, r := range readable {
		if !slices.Contains(v.job.Objects, r.kind) {
			continue
		}
		for _, schema := range v.sourceSchemas() {
			if !g.on(schema, "*", r.privileges...) {
				p.add("the account lacks %s on %s.*, without which it does not see its %s", r.privileges[0], schema, r.kind)
			}
		}
	}
	if slices.Contains(v.job.Objects, objects.Routines) && !g.on("mysql", "proc", "SELECT") && !g.global("SHOW_ROUTINE", "SHOW CREATE ROUTINE") {
		p.add("the account lacks SELECT on mysql.proc (on MySQL 8 SHOW_ROUTINE), without which it does not see the bodies of routines")
	}
}

// sourceSchemas are those of the chosen tables at the source, each once.
func (v *validator) sourceSchemas() []string {
	var out []string
	for _, t := range v.tables {
		out = append(out, t.Schema)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// writable are the privileges that objects of a kind need on their schema at the target.
var writable = map[objects.Kind][]string{
	objects.Views: {"CREATE VIEW", "DROP"}, objects.Triggers: {"TRIGGER"}, objects.Events: {"EVENT"},
	objects.Routines: {"CREATE ROUTINE", "ALTER ROUTINE"}, objects.Sequences: {"CREATE", "INSERT"},
}

// mayDefine says which objects the target's account could not create.
func (v *validator) mayDefine() error {
	p := v.report.Target.Privileges
	for _, schema := range v.schemas() {
		for _, kind := range v.job.Objects {
			v.lacks(schema, writable[kind], p)
		}
	}
	others := objects.Kinds([]string{string(objects.Views), string(objects.Triggers), string(objects.Routines), string(objects.Events)})
	defines := slices.ContainsFunc(v.job.Objects, func(k objects.Kind) bool { return slices.Contains(others, k) })
	if defines && !v.target.grants.global("SET USER", "SET_USER_ID", "SET_ANY_DEFINER", "SUPER") {
		v.report.Warnings.add("the target's account lacks SET USER (on MySQL SET_USER_ID or SET_ANY_DEFINER): it becomes the definer of the objects that are replicated")
	}
	return v.mayLogFunctions()
}

// mayLogFunctions warns where the target takes functions and triggers only of powerful accounts.
func (v *validator) mayLogFunctions() error {
	if !slices.Contains(v.job.Objects, objects.Routines) && !slices.Contains(v.job.Objects, objects.Triggers) || v.target.grants.global("SUPER") {
		return nil
	}
	blocked, err := text(v.target.Conn, "SELECT @@log_bin AND NOT @@log_bin_trust_function_creators")
	if err == nil && blocked == "1" {
		v.report.Warnings.add("the target writes a binary log and has log_bin_trust_function_creators=OFF: without SUPER its account may not create triggers and functions; set it to ON")
	}
	return err
}
