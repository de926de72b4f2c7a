package objects

import (
	"errors"
	"fmt"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/mysql"
	"github.com/opsdeck/opsdeck/services/replication-jobs/internal/progress"
)

// shown are the places in the answer of SHOW CREATE, -1 for what it does not tell.
type shown struct{ mode, zone, text, client, connection int }

func places(objectType string) shown {
	switch objectType {
	case "VIEW":
		return shown{-1, -1, 1, 2, 3}
	case "EVENT":
		return shown{1, 2, 3, 4, 5}
	}
	return shown{1, -1, 2, 3, 4}
}

// ErrGone is wrapped by the error for an object that has gone since it was listed.
var ErrGone = errors.New("it does not exist any more")

// gone reports whether a server does not know the object that it was asked about.
func gone(err error) bool {
	switch mysql.Code(err) {
	case gomysql.ER_NO_SUCH_TABLE, gomysql.ER_SP_DOES_NOT_EXIST, gomysql.ER_TRG_DOES_NOT_EXIST, gomysql.ER_EVENT_DOES_NOT_EXIST, gomysql.ER_BAD_DB_ERROR:
		return true
	}
	return false
}

// Load reads the definitions of views, triggers, routines and events. The session's results must be in utf8mb4, and are so afterwards. A view
// that the source itself cannot read any more is left out and told to broken.
func Load(c *mysql.Conn, all []Object, broken func(Object)) ([]progress.Object, error) {
	var out []progress.Object
	for _, o := range all {
		if o.Type == "VIEW" && mysql.Code(columns(c, o)) == gomysql.ER_VIEW_INVALID {
			broken(o)
			continue
		}
		d, err := show(c, o)
		if gone(err) {
			return nil, fmt.Errorf("the %s %s: %w", strings.ToLower(o.Type), o, ErrGone)
		}
		if err != nil {
			return nil, fmt.Errorf("read the definition of the %s %s: %w", strings.ToLower(o.Type), o, mysql.Explain(err))
		}
		out = append(out, d)
	}
	return out, nil
}

// columns fails for a view that refers to what is not there.
func columns(c *mysql.Conn, o Object) error {
	_, err := c.Execute("SHOW COLUMNS FROM " + mysql.QuoteTable(o.Schema, o.Name))
	return err
}

// show reads a definition in the character set of its own session: its text may hold what that one alone can say.
func show(c *mysql.Conn, o Object) (progress.Object, error) {
	query := "SHOW CREATE " + o.Type + " " + mysql.QuoteTable(o.Schema, o.Name)
	r, err := c.Execute(query)
	if err != nil {
		return progress.Object{}, err
	}
	at := places(o.Type)
	client, err := field(r, at.client)
	if err != nil {
		return progress.Object{}, err
	}
	if client != "utf8mb4" {
		if _, err := c.Execute("SET character_set_results = " + client); err != nil {
			return progress.Object{}, err
		}
		if r, err = c.Execute(query); err != nil {
			return progress.Object{}, err
		}
		if _, err := c.Execute("SET character_set_results = utf8mb4"); err != nil {
			return progress.Object{}, err
		}
	}
	d := progress.Object{Kind: string(o.Kind), Type: o.Type, Schema: o.Schema, Name: o.Name}
	var text string
	for _, f := range []struct {
		into  *string
		place int
	}{
		{&text, at.text},
		{&d.Session.SQLMode, at.mode},
		{&d.Session.ClientCharset, at.client},
		{&d.Session.ConnectionCollation, at.connection},
		{&d.Session.TimeZone, at.zone},
	} {
		if *f.into, err = field(r, f.place); err != nil {
			return d, err
		}
	}
	if text == "" {
		return d, &mysql.Error{Permanent: true, Sentence: "the account may not see it: it needs SELECT on mysql.proc (MariaDB), SHOW_ROUTINE or SELECT (MySQL)"}
	}
	d.Text = []byte(text)
	return d, nil
}

func field(r *gomysql.Result, place int) (string, error) {
	if place < 0 {
		return "", nil
	}
	return r.GetString(0, place)
}
