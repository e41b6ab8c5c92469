package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Part sets one part of a session that New makes.
type Part func(*session.Session)

// New returns a session as it stands after its creation at now: sequence 1, an
// hour to live, creator "gateway", no user, no agent, no token.
func New(id session.ID, now session.Time, parts ...Part) *session.Session {
	s := &session.Session{
		ID:             id,
		CreationDate:   now,
		ChangeDate:     now,
		Sequence:       1,
		ExpirationDate: now.Add(time.Hour),
		Creator:        "gateway",
	}
	for _, part := range parts {
		part(s)
	}
	return s
}

// User makes it the session of a user of an organization, "" for unknown.
func User(id, org string) Part {
	return func(s *session.Session) {
		s.Factors.User = &session.UserFactor{
			VerifiedAt:     s.CreationDate,
			ID:             id,
			LoginName:      id + "@example.com",
			OrganizationID: org,
		}
		s.Factors.Password = &session.Factor{VerifiedAt: s.CreationDate}
	}
}

// Agent gives it a user agent.
func Agent(fingerprint string) Part {
	return func(s *session.Session) {
		ip, description := "192.0.2.7", "Firefox, Linux"
		s.UserAgent = session.UserAgent{
			FingerprintID: &fingerprint,
			IP:            &ip,
			Description:   &description,
			Header:        map[string][]string{"user-agent": {"Mozilla/5.0 (X11; Linux x86_64)"}},
		}
	}
}

// Creator sets who created it.
func Creator(id string) Part { return func(s *session.Session) { s.Creator = id } }

// Created sets its creation date.
func Created(t session.Time) Part {
	return func(s *session.Session) { s.CreationDate, s.ChangeDate = t, t }
}

// Expires sets its expiration date.
func Expires(t session.Time) Part { return func(s *session.Session) { s.ExpirationDate = t } }

// Sequence sets its sequence.
func Sequence(n uint64) Part { return func(s *session.Session) { s.Sequence = n } }

// Token gives it the token with hash h.
func Token(h session.TokenHash) Part { return func(s *session.Session) { s.Token = h } }

// ForeignToken gives it a token that somebody else made.
func ForeignToken(token string) Part {
	return func(s *session.Session) { s.Token, s.TokenForeign = session.HashToken(token), true }
}

// Metadata gives it one entry of metadata.
func Metadata(key string, value []byte) Part {
	return func(s *session.Session) { s.Metadata = map[string][]byte{key: value} }
}

// document returns what is stored of s.
func document(s *session.Session) []byte { return session.AppendJSON(nil, s) }
