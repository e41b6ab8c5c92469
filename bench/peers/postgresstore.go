package peers

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	postgresSchema = "cloakroom_bench"
	// postgresConnections is how many connections a program has: more than the cores that it shares with PostgreSQL.
	postgresConnections = 10
	// instanceID and organizationID are those of every session; the organization is that of scenario.Dataset.
	instanceID     = "281739955041689387"
	organizationID = "281739955209961483"
	loginDomain    = "nordwind.example"
)

// postgresTables makes the tables.
//
//go:embed postgres.sql
var postgresTables string

// postgresIndexes are made when all rows are there.
const postgresIndexes = `
CREATE INDEX ON cloakroom_bench.sessions (user_agent_fingerprint_id);
CREATE INDEX ON cloakroom_bench.sessions (user_id);
CREATE INDEX ON cloakroom_bench.users (username);
CREATE INDEX ON cloakroom_bench.users (resource_owner);`

// PostgresStore keeps sessions and users in tables like those that ZITADEL reads, in a schema of its own.
type PostgresStore struct{ pool *pgxpool.Pool }

// OpenPostgresStore opens the store at a URL. No error has the URL.
func OpenPostgresStore(ctx context.Context, url string) (*PostgresStore, error) {
	pool, err := openPool(ctx, url)
	if err != nil {
		return nil, err
	}
	return &PostgresStore{pool}, nil
}

func openPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	if url == "" {
		return nil, errors.New("--postgres is required")
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("--postgres: not a URL of a PostgreSQL") // err may hold a password
	}
	config.MaxConns = postgresConnections
	config.ConnConfig.RuntimeParams["search_path"] = postgresSchema
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// Seed implements Store.
func (s *PostgresStore) Seed(ctx context.Context, d scenario.Dataset, stderr io.Writer) error {
	name := nameOf(d)
	var there bool
	if err := s.pool.QueryRow(ctx, `SELECT to_regclass('cloakroom_bench.seeded') IS NOT NULL`).Scan(&there); err != nil {
		return err
	}
	if there {
		var stored string
		if err := s.pool.QueryRow(ctx, `SELECT coalesce(max(name), '') FROM seeded`).Scan(&stored); err != nil {
			return err
		}
		if stored == name {
			return nil
		}
	}
	if _, err := s.pool.Exec(ctx, `DROP SCHEMA IF EXISTS cloakroom_bench CASCADE;`+postgresTables); err != nil {
		return err
	}
	if err := s.copyAll(ctx, d, stderr); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, postgresIndexes); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE sessions, users, humans, login_users, login_domains, login_policies`); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, `INSERT INTO seeded VALUES ($1)`, name)
	return err
}

// copyAll fills the tables with a dataset.
func (s *PostgresStore) copyAll(ctx context.Context, d scenario.Dataset, stderr io.Writer) error {
	t := cli.Count{}
	defer cli.Progress(stderr, "seeding PostgreSQL with sessions", int64(d.Sessions), t.Look)()
	put := func(table string, columns []string, n int, row func(i int) ([]any, error)) error {
		_, err := s.pool.CopyFrom(ctx, pgx.Identifier{postgresSchema, table}, columns, pgx.CopyFromSlice(n, row))
		if err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
		return nil
	}
	since := d.Created(0)
	return errors.Join(
		put("login_policies", []string{"must_be_domain", "is_default", "resource_owner", "instance_id"}, 1, func(int) ([]any, error) {
			return []any{true, true, instanceID, instanceID}, nil
		}),
		put("login_domains", []string{"name", "is_primary", "resource_owner", "instance_id"}, 1, func(int) ([]any, error) {
			return []any{loginDomain, true, organizationID, instanceID}, nil
		}),
		put("login_users", []string{"id", "user_name", "resource_owner", "instance_id"}, d.Users(), func(i int) ([]any, error) {
			return []any{scenario.UserID(i), userName(i), organizationID, instanceID}, nil
		}),
		put("users", []string{"id", "creation_date", "change_date", "sequence", "state", "resource_owner", "instance_id", "username", "type"}, d.Users(), func(i int) ([]any, error) {
			return []any{scenario.UserID(i), since, since, 1, 1, organizationID, instanceID, userName(i), 1}, nil
		}),
		put("humans", []string{"user_id", "instance_id", "first_name", "last_name", "display_name", "email"}, d.Users(), func(i int) ([]any, error) {
			return []any{scenario.UserID(i), instanceID, "User", fmt.Sprintf("Number %d", i), fmt.Sprintf("User Number %d", i), userName(i) + "@" + loginDomain}, nil
		}),
		put("sessions", sessionColumns, d.Sessions, func(i int) ([]any, error) {
			t.Done.Store(int64(i))
			return sessionRow(d, i)
		}),
	)
}

func userName(user int) string { return fmt.Sprintf("user%d", user) }

var sessionColumns = []string{
	"id", "creation_date", "change_date", "sequence", "state", "resource_owner", "instance_id", "creator", "user_id", "user_resource_owner",
	"user_checked_at", "password_checked_at", "totp_checked_at", "metadata", "token_id",
	"user_agent_fingerprint_id", "user_agent_ip", "user_agent_description", "user_agent_header", "expiration",
}

// sessionRow returns session i of a dataset as a row with sessionColumns.
func sessionRow(d scenario.Dataset, i int) ([]any, error) {
	s, err := parseSession(d.AppendSession(nil, i))
	if err != nil {
		return nil, err
	}
	header := map[string][]string{}
	for name, h := range s.UserAgent.Header {
		header[name] = h.Values
	}
	user := s.Factors.User
	const active = 1
	return []any{
		s.ID, time.Time(s.CreationDate), time.Time(s.ChangeDate), s.Sequence, active, organizationID, instanceID, s.Creator, user.ID, user.OrganizationID,
		time.Time(user.VerifiedAt), s.Factors.Password.time(), s.Factors.TOTP.time(), s.Metadata, "token-" + s.ID,
		s.UserAgent.FingerprintID, s.UserAgent.IP, s.UserAgent.Description, header, time.Time(s.ExpirationDate),
	}, nil
}

// Bytes implements Store: tables and indexes, as they are on disk and in PostgreSQL's buffers.
func (s *PostgresStore) Bytes(ctx context.Context) (int64, error) {
	var n int64
	err := s.pool.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
		WHERE relnamespace = 'cloakroom_bench'::regnamespace AND relkind = 'r'`).Scan(&n)
	return n, err
}

// Version returns PostgreSQL's version, and how much of the memory it has to itself.
func (s *PostgresStore) Version(ctx context.Context) (string, error) {
	var version, buffers string
	err := s.pool.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('shared_buffers')`).Scan(&version, &buffers)
	return version + ", shared_buffers " + buffers, err
}

// BackendPID returns the ID of a process of PostgreSQL that serves a connection of this store.
func (s *PostgresStore) BackendPID(ctx context.Context) (int, error) {
	var pid int
	err := s.pool.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	return pid, err
}

// Close implements Store.
func (s *PostgresStore) Close() { s.pool.Close() }
