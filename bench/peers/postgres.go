package peers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// searchLimit is that of the request.
	searchLimit = 100
	// sessionParts are the columns of a session, those of its user among them, from joined.
	sessionParts = `s.id, s.creation_date, s.change_date, s.sequence, s.state, s.resource_owner, s.creator,
	s.user_id, s.user_resource_owner, s.user_checked_at, n.login_name, h.display_name,
	s.password_checked_at, s.intent_checked_at, s.webauthn_checked_at, s.webauthn_user_verified, s.totp_checked_at, s.otp_sms_checked_at, s.otp_email_checked_at,
	s.metadata, s.user_agent_fingerprint_id, s.user_agent_ip, s.user_agent_description, s.user_agent_header, s.expiration`
	joined = ` FROM sessions s
	LEFT JOIN login_names n ON n.user_id = s.user_id AND n.instance_id = s.instance_id
	LEFT JOIN humans h ON h.user_id = s.user_id AND h.instance_id = s.instance_id
	LEFT JOIN users u ON u.id = s.user_id AND u.instance_id = s.instance_id`

	postgresSearch = `SELECT ` + sessionParts + `, count(*) OVER ()` + joined + `
	WHERE s.instance_id = $1 AND s.user_id = $2 AND s.creation_date >= $3
	ORDER BY s.creation_date DESC LIMIT $4`
	postgresGet = `SELECT ` + sessionParts + joined + ` WHERE s.instance_id = $1 AND s.id = $2`
)

// postgres asks as ZITADEL does, with prepared statements: one query counts the sessions and returns them, joined
// with their users.
type postgres struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, urls URLs) (Peer, error) {
	pool, err := openPool(ctx, urls.Postgres)
	if err != nil {
		return nil, err
	}
	return &postgres{pool}, nil
}

// Search implements Peer.
func (p *postgres) Search(ctx context.Context, user string, since time.Time) (Found, error) {
	rows, err := p.pool.Query(ctx, postgresSearch, instanceID, user, since, searchLimit)
	if err != nil {
		return Found{}, err
	}
	defer rows.Close()
	var found Found
	for rows.Next() {
		text, err := scanSession(rows, &found.Total)
		if err != nil {
			return Found{}, err
		}
		found.Sessions = append(found.Sessions, text)
	}
	return found, rows.Err()
}

// Get implements Peer.
func (p *postgres) Get(ctx context.Context, id string) (string, error) {
	text, err := scanSession(p.pool.QueryRow(ctx, postgresGet, instanceID, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrNotFound
	}
	return text, err
}

// scanSession returns the session in a row as JSON; more are for what follows sessionParts there.
func scanSession(row pgx.Row, more ...any) (string, error) {
	var s session
	var created, changed, checked, expires time.Time
	var password, intent, webAuthN, totp, sms, email *time.Time
	var userVerified *bool
	var state int16
	var owner string
	var header map[string][]string
	user := &s.Factors.User
	err := row.Scan(append([]any{
		&s.ID, &created, &changed, &s.Sequence, &state, &owner, &s.Creator,
		&user.ID, &user.OrganizationID, &checked, &user.LoginName, &user.DisplayName,
		&password, &intent, &webAuthN, &userVerified, &totp, &sms, &email,
		&s.Metadata, &s.UserAgent.FingerprintID, &s.UserAgent.IP, &s.UserAgent.Description, &header, &expires,
	}, more...)...)
	if err != nil {
		return "", err
	}
	s.CreationDate, s.ChangeDate, s.ExpirationDate, user.VerifiedAt = date(created), date(changed), date(expires), date(checked)
	s.Factors.Password, s.Factors.Intent, s.Factors.TOTP = newFactor(password), newFactor(intent), newFactor(totp)
	s.Factors.OTPSMS, s.Factors.OTPEmail, s.Factors.WebAuthN = newFactor(sms), newFactor(email), newFactor(webAuthN)
	if s.Factors.WebAuthN != nil && userVerified != nil {
		s.Factors.WebAuthN.UserVerified = *userVerified
	}
	s.UserAgent.Header = make(map[string]headerValues, len(header))
	for name, values := range header {
		s.UserAgent.Header[name] = headerValues{values}
	}
	text, err := json.Marshal(&s)
	return string(text), err
}

// Close implements Peer.
func (p *postgres) Close() { p.pool.Close() }
