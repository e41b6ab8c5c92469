package request

import (
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Changes is what CreateSessionRequest and SetSessionRequest have in common:
// what is to become of a session. Make it with DecodeCreate or DecodeSet.
type Changes struct {
	// ID is the session ID in the body, "" if there is none; not checked.
	ID string
	// Agent is the user agent of a session that is created.
	Agent session.UserAgent
	// Lifetime is 0 if it is not given.
	Lifetime time.Duration

	// userID is checks.user.userId: the user, verified now.
	userID string
	// factors are those that the gateway has verified itself.
	factors  session.Factors
	metadata map[string][]byte
	// needsProvider names the first check or challenge that only an identity
	// provider can carry out. Its content is never read. (I6)
	needsProvider string
	// message is the name of the request.
	message string
}

// changesDecoder reads Changes. What is wrong with its meaning is kept in fault, so
// that a fault of its syntax comes first.
type changesDecoder struct {
	*protojson.Reader
	Changes
	fault error
}

// DecodeCreate reads a CreateSessionRequest.
func DecodeCreate(body []byte) (*Changes, error) { return decodeChanges(body, messageCreate) }

// DecodeSet reads a SetSessionRequest.
func DecodeSet(body []byte) (*Changes, error) { return decodeChanges(body, messageSet) }

func decodeChanges(body []byte, message string) (*Changes, error) {
	d := changesDecoder{Changes: Changes{message: message}}
	err := protojson.Decode(body, func(r *protojson.Reader) error {
		d.Reader = r
		return r.Object(d.field)
	})
	if err == nil {
		err = d.fault
	}
	return &d.Changes, err
}

func (d *changesDecoder) field(name string) error {
	switch name {
	case "checks":
		return d.Object(d.check)
	case "metadata":
		return session.DecodeMetadata(d.Reader, &d.metadata)
	case "challenges":
		return d.Object(d.challenge)
	case "lifetime":
		return d.readLifetime()
	case "factors":
		return session.DecodeFactors(d.Reader, &d.factors)
	case "userAgent":
		if d.message == messageCreate {
			return session.DecodeUserAgent(d.Reader, &d.Agent)
		}
	case "sessionId":
		if d.message == messageSet {
			return d.String(&d.ID)
		}
	case "sessionToken":
		if d.message == messageSet {
			var unused string // it is not asked for
			err := d.String(&unused)
			if utf8.RuneCountInString(unused) > maxSessionToken {
				d.wrong(invalid(d.message, "SessionToken", "value length must be between 0 and 500 runes, inclusive"))
			}
			return err
		}
	}
	return nil
}

const (
	messageCreate = "CreateSessionRequest"
	messageSet    = "SetSessionRequest"
)

func (d *changesDecoder) readLifetime() error {
	if d.Null() {
		return nil
	}
	err := d.Duration(&d.Lifetime)
	if err == nil && d.Lifetime <= 0 {
		d.wrong(invalid(d.message, "Lifetime", "value must be greater than 0s"))
	}
	return err
}

func (d *changesDecoder) check(name string) error {
	switch name {
	case "user":
		if d.Null() {
			return nil
		}
		return d.user()
	case "password", "webAuthN", "idpIntent", "totp", "otpSms", "otpEmail", "recoveryCode":
		d.provider("checks." + name)
	}
	return nil
}

func (d *changesDecoder) challenge(name string) error {
	switch name {
	case "webAuthN", "otpSms", "otpEmail":
		d.provider("challenges." + name)
	}
	return nil
}

// provider notes that the next value, unless it is null, needs an identity
// provider, and leaves it unread.
func (d *changesDecoder) provider(name string) {
	if !d.Null() && d.needsProvider == "" {
		d.needsProvider = name
	}
}

// user reads the check of a user, by its ID or its login name.
func (d *changesDecoder) user() error {
	var taken string
	err := d.Object(func(name string) error {
		if name != "userId" && name != "loginName" {
			return nil
		}
		ok, err := d.Member(&taken, name)
		if err != nil || !ok {
			return err
		}
		var value string
		if err := d.String(&value); err != nil {
			return err
		}
		goName := "UserId"
		if name == "loginName" {
			goName = "LoginName"
			d.needsProvider = "checks.user.loginName"
		} else {
			d.userID = value
		}
		if !nameLength(value) {
			d.wrong(causedBy(d.message+".Checks", "Checks.User: embedded message failed validation",
				"CheckUser."+goName+": "+wrongLength))
		}
		return nil
	})
	if err == nil && taken == "" {
		d.wrong(causedBy(d.message+".Checks", "Checks.User: embedded message failed validation",
			"CheckUser.Search: value is required"))
	}
	return err
}

func (d *changesDecoder) wrong(err error) {
	if d.fault == nil {
		d.fault = err
	}
}

// Apply makes the changes to s, at now, except for its lifetime.
func (q *Changes) Apply(s *session.Session, now session.Time) error {
	if err := q.factors.CheckAhead(now); err != nil {
		return err
	}
	if err := q.applyUser(&s.Factors, now); err != nil {
		return err
	}
	q.applyFactors(&s.Factors, now)
	for key, value := range q.metadata {
		if len(value) == 0 {
			delete(s.Metadata, key)
			continue
		}
		if s.Metadata == nil {
			s.Metadata = make(map[string][]byte, len(q.metadata))
		}
		s.Metadata[key] = value
	}
	return nil
}

// applyUser sets the user. A session's user, and the user's organization, can
// be set once; whose session it is never changes.
func (q *Changes) applyUser(f *session.Factors, now session.Time) error {
	given := q.factors.User
	if given == nil && q.userID == "" {
		return nil
	}
	next := session.UserFactor{VerifiedAt: now, ID: q.userID}
	field := "checks.user.userId"
	if given != nil {
		if q.userID != "" && given.ID != "" && given.ID != q.userID {
			return &session.InvalidError{Field: "factors.user.id", Problem: "must be the user of checks.user.userId"}
		}
		next = *given
		if next.ID == "" {
			next.ID = q.userID
		} else if q.userID == "" {
			field = "factors.user.id"
		}
		orNow(&next.VerifiedAt, now)
	}
	if old := f.User; old != nil {
		if next.ID != "" && next.ID != old.ID {
			return &session.InvalidError{Field: field, Problem: "the user of a session cannot be changed"}
		}
		if next.OrganizationID != "" && old.OrganizationID != "" && next.OrganizationID != old.OrganizationID {
			return &session.InvalidError{Field: "factors.user.organizationId", Problem: "the organization of a session's user cannot be changed"}
		}
		keep(&next.ID, old.ID)
		keep(&next.OrganizationID, old.OrganizationID)
		keep(&next.LoginName, old.LoginName)
		keep(&next.DisplayName, old.DisplayName)
	}
	f.User = &next
	return nil
}

// keep sets an empty text to the old one.
func keep(text *string, old string) {
	if *text == "" {
		*text = old
	}
}

// orNow sets a date that was not said to now.
func orNow(t *session.Time, now session.Time) {
	if *t == 0 {
		*t = now
	}
}

// applyFactors sets the factors other than the user, verified now if their dates
// were not said.
func (q *Changes) applyFactors(f *session.Factors, now session.Time) {
	for _, p := range []struct {
		to    **session.Factor
		given *session.Factor
	}{
		{&f.Password, q.factors.Password},
		{&f.Intent, q.factors.Intent},
		{&f.TOTP, q.factors.TOTP},
		{&f.OTPSMS, q.factors.OTPSMS},
		{&f.OTPEmail, q.factors.OTPEmail},
		{&f.RecoveryCode, q.factors.RecoveryCode},
	} {
		if p.given != nil {
			next := *p.given
			orNow(&next.VerifiedAt, now)
			*p.to = &next
		}
	}
	if q.factors.WebAuthN != nil {
		next := *q.factors.WebAuthN
		orNow(&next.VerifiedAt, now)
		f.WebAuthN = &next
	}
}

// Possible says whether we can carry out the changes ourselves.
func (q *Changes) Possible() error {
	if q.needsProvider == "" {
		return nil
	}
	return &refusal.Error{Code: refusal.Unimplemented, Text: q.needsProvider + " needs an identity provider, and none is configured; state what was verified elsewhere in factors"}
}

// Expiration is when a session ends whose lifetime begins now; 0 is no lifetime, and
// limit 0 is no limit. Dates have microseconds: a lifetime of less lasts one.
func (q *Changes) Expiration(now session.Time, lifetime, limit time.Duration) (session.Time, error) {
	if limit > 0 && lifetime > limit {
		return 0, invalid(q.message, "Lifetime", "value must be at most "+limit.String())
	}
	if lifetime == 0 {
		return session.Never, nil
	}
	return now.Add(max(lifetime, time.Microsecond)), nil
}
