package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	dnsv1 "github.com/opsdeck/opsdeck/proto/gen/go/opsdeck/dns/v1"

	"github.com/opsdeck/opsdeck/pkg/pg"
	"github.com/opsdeck/opsdeck/pkg/secret"

	"github.com/opsdeck/opsdeck/services/dns/internal/reach"
	"github.com/opsdeck/opsdeck/services/dns/internal/zone"
)

// Row is a name server as it is stored.
type Row struct {
	ID          int64     `db:"id"`
	Tenant      string    `db:"tenant"`
	Name        string    `db:"name"`
	Type        string    `db:"type"`
	APIEndpoint string    `db:"api_endpoint"`
	Description string    `db:"description"`
	NameServers []string  `db:"name_servers"`
	Secrets     []byte    `db:"secrets"` // sealed; nil: none of its own
	Creator     string    `db:"creator"`
	CreatedAt   time.Time `db:"created_at"`
}

func (r Row) toProto() *dnsv1.Server {
	return &dnsv1.Server{
		Id: r.ID, Creator: r.Creator, CreatedTime: timestamppb.New(r.CreatedAt), Name: r.Name, Type: r.Type,
		ApiEndpoint: r.APIEndpoint, Description: r.Description,
	}
}

// secrets are the credentials of one server.
type secrets struct {
	APIKey     string `json:"api_key,omitempty"`
	AgentToken string `json:"agent_token,omitempty"`
	TSIGName   string `json:"tsig_name,omitempty"`
	TSIGSecret string `json:"tsig_secret,omitempty"`
}

// place is the context that credentials are sealed for.
func place(id int64) string { return "dns.server/" + strconv.FormatInt(id, 10) }

func (s secrets) seal(sealer *secret.Sealer, id int64) ([]byte, error) {
	if s == (secrets{}) {
		return nil, nil
	}
	text, err := json.Marshal(s) //nolint:gosec // it is sealed in the next step
	if err != nil {
		return nil, fmt.Errorf("encode credentials: %w", err)
	}
	return sealer.Seal(text, place(id))
}

func (r Row) unseal(sealer *secret.Sealer) (s secrets, err error) {
	if r.Secrets == nil {
		return s, nil
	}
	text, err := sealer.Open(r.Secrets, place(r.ID))
	if err != nil {
		return s, fmt.Errorf("credentials of server %d: %w", r.ID, err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("credentials of server %d are damaged", r.ID) // the cause would quote them
	}
	return s, nil
}

// Find returns a server in reach. Errors: SERVER_NOT_FOUND.
func Find(ctx context.Context, db zone.Querier, of reach.Reach, id int64) (Row, error) {
	rows, _ := db.Query(ctx, `
		SELECT id, tenant, name, type, api_endpoint, description, name_servers, secrets, creator, created_at
		FROM dns.servers WHERE id = $1 AND ($2 OR tenant = $3)`, id, of.Every, of.Tenant) // the error comes again below
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Row])
	return r, pg.Fault(err, "SERVER_NOT_FOUND", "there is no server %d", id)
}

// insert stores a server and returns it with its id and time.
func insert(ctx context.Context, tx pgx.Tx, sealer *secret.Sealer, r Row, s secrets) (Row, error) {
	err := tx.QueryRow(ctx, `
		INSERT INTO dns.servers (tenant, name, type, api_endpoint, description, name_servers, creator)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id, created_at`,
		r.Tenant, r.Name, r.Type, r.APIEndpoint, r.Description, r.NameServers, r.Creator).Scan(&r.ID, &r.CreatedAt)
	if err != nil {
		return r, pg.Fault(err, "SERVER_EXISTS", "there is a server named %s already", r.Name)
	}
	if r.Secrets, err = s.seal(sealer, r.ID); err != nil {
		return r, err
	}
	_, err = tx.Exec(ctx, `UPDATE dns.servers SET secrets = $2 WHERE id = $1`, r.ID, r.Secrets)
	return r, pg.Fault(err, "SERVER", "store the credentials of server %s", r.Name)
}

// filter chooses servers of a list.
type filter struct {
	reach                      reach.Reach
	creator, name, description string
	offset                     int64
	limit                      int
}

func list(ctx context.Context, db zone.Querier, f filter) (count int64, rows []Row, err error) {
	const where = `
		FROM dns.servers
		WHERE ($1 OR tenant = $2) AND ($3 = '' OR creator = $3)
		  AND strpos(lower(name), $4) > 0 AND strpos(lower(description), $5) > 0`
	args := []any{f.reach.Every, f.reach.Tenant, f.creator, strings.ToLower(f.name), strings.ToLower(f.description)}
	if err := db.QueryRow(ctx, `SELECT count(*)`+where, args...).Scan(&count); err != nil {
		return 0, nil, pg.Fault(err, "SERVERS", "count servers")
	}
	found, _ := db.Query(ctx, `
		SELECT id, tenant, name, type, api_endpoint, description, name_servers, secrets, creator, created_at`+where+`
		ORDER BY id OFFSET $6 LIMIT $7`, append(args, f.offset, f.limit)...) // the error comes again below
	rows, err = pgx.CollectRows(found, pgx.RowToStructByName[Row])
	return count, rows, pg.Fault(err, "SERVERS", "list servers")
}
