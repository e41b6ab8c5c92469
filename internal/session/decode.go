package session

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// Given says which fields a request's session has. What equals unset in proto3
// (null, the sequence 0, an empty creator or tokenSha256) is not given.
type Given struct {
	ID             bool
	CreationDate   bool
	ChangeDate     bool
	Sequence       bool
	ExpirationDate bool
	Creator        bool
	TokenSHA256    bool
}

// DecodeJSON decodes a session as PUT and import take it: the fields of
// Session, creator, and tokenSha256, the hash of a token that somebody else
// made, in hexadecimal. All of them may stand in the one member session, as in
// the answer of GetSession. Dates are truncated to the microsecond. A session
// without an expirationDate has Never.
//
// Members that are not known, wherever they are, are refused unless
// ignoreUnknown: a misspelt expirationDate must not make a session that lives
// for ever.
//
// It checks shapes and types (*protojson.Error); Validate checks the rest.
// Nothing in the result points into body. (I8)
func DecodeJSON(body []byte, ignoreUnknown bool) (*Session, Given, error) {
	d := givenDecoder{session: &Session{ExpirationDate: Never}}
	err := protojson.Decode(body, func(r *protojson.Reader) error {
		if !ignoreUnknown {
			r.RefuseUnknown("is not known here: correct its name or leave it out; with ignoreUnknown=true in the query it is passed over")
		}
		d.Reader = r
		return r.Object(d.member)
	})
	if err != nil {
		return nil, Given{}, err
	}
	return d.session, d.given, nil
}

// givenDecoder reads what DecodeJSON takes.
type givenDecoder struct {
	*protojson.Reader
	session *Session
	given   Given
	// bare and wrapped say where fields were met: in the outermost object, or in
	// its member session.
	bare, wrapped bool
}

// givenNames are the fields that DecodeJSON takes.
var givenNames = []string{
	"id", "creationDate", "changeDate", "sequence", "factors", "metadata", "userAgent", "expirationDate", "creator", "tokenSha256",
}

// member reads a member of the outermost object.
func (d *givenDecoder) member(name string) error {
	switch {
	case slices.Contains(givenNames, name):
		if d.wrapped {
			return d.Fail("must be inside of session, where that is given")
		}
		d.bare = true
		return d.field(name)
	case name != "session":
		return nil
	case d.bare:
		return d.Fail("must have all other members inside of it")
	}
	d.wrapped = true
	if d.Null() {
		return d.Fail("must be an object")
	}
	return d.Object(d.field)
}

// field reads a field of the session, or of what is stored with it.
func (d *givenDecoder) field(name string) error {
	s := d.session
	switch name {
	case "creator":
		err := d.String(&s.Creator)
		d.given.Creator = s.Creator != ""
		return err
	case "tokenSha256":
		var text string
		if err := d.String(&text); err != nil || text == "" {
			return err
		}
		hash, ok := parseTokenHash(text)
		if !ok {
			return d.Fail("must be the 64 hexadecimal digits of a SHA-256")
		}
		s.Token, s.TokenForeign, d.given.TokenSHA256 = hash, true, true
		return nil
	}
	return s.decodeField(d.Reader, name, &d.given)
}

// ParseDoc decodes a document that AppendJSON wrote. Creator and Token, which
// are not in it, stay zero.
func ParseDoc(doc []byte) (*Session, error) {
	s := &Session{ExpirationDate: Never}
	var given Given
	err := protojson.Decode(doc, func(r *protojson.Reader) error {
		return r.Object(func(name string) error { return s.decodeField(r, name, &given) })
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// parseTokenHash decodes a token's hash. The zero hash means no token, so it is none.
func parseTokenHash(s string) (h TokenHash, ok bool) {
	if len(s) != hex.EncodedLen(len(h)) {
		return TokenHash{}, false
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return TokenHash{}, false
	}
	return h, !h.IsZero()
}

func (s *Session) decodeField(r *protojson.Reader, name string, given *Given) error {
	switch name {
	case "id":
		err := r.String((*string)(&s.ID))
		given.ID = s.ID != ""
		return err
	case "creationDate":
		return decodeTime(r, &s.CreationDate, &given.CreationDate)
	case "changeDate":
		return decodeTime(r, &s.ChangeDate, &given.ChangeDate)
	case "sequence":
		err := r.Uint64(&s.Sequence)
		given.Sequence = s.Sequence != 0
		return err
	case "factors":
		return DecodeFactors(r, &s.Factors)
	case "metadata":
		return DecodeMetadata(r, &s.Metadata)
	case "userAgent":
		return DecodeUserAgent(r, &s.UserAgent)
	case "expirationDate":
		return decodeTime(r, &s.ExpirationDate, &given.ExpirationDate)
	}
	return nil
}

// DecodeFactors decodes the factors of a session or of a request.
func DecodeFactors(r *protojson.Reader, f *Factors) error {
	return r.Object(func(name string) error {
		switch name {
		case "user":
			return decodeUserFactor(r, &f.User)
		case "password":
			return decodeFactor(r, &f.Password)
		case "webAuthN":
			return decodeWebAuthN(r, &f.WebAuthN)
		case "intent":
			return decodeFactor(r, &f.Intent)
		case "totp":
			return decodeFactor(r, &f.TOTP)
		case "otpSms":
			return decodeFactor(r, &f.OTPSMS)
		case "otpEmail":
			return decodeFactor(r, &f.OTPEmail)
		case "recoveryCode":
			return decodeFactor(r, &f.RecoveryCode)
		}
		return nil
	})
}

// DecodeMetadata decodes metadata. The map stays nil if it is empty.
func DecodeMetadata(r *protojson.Reader, m *map[string][]byte) error {
	return r.Map(func(key string) error {
		var value []byte
		err := r.Bytes(&value)
		if *m == nil {
			*m = make(map[string][]byte)
		}
		(*m)[key] = value
		return err
	})
}

// DecodeUserAgent decodes a user agent.
func DecodeUserAgent(r *protojson.Reader, u *UserAgent) error {
	return r.Object(func(name string) error {
		switch name {
		case "fingerprintId":
			return r.OptionalString(&u.FingerprintID)
		case "ip":
			return r.OptionalString(&u.IP)
		case "description":
			return r.OptionalString(&u.Description)
		case "header":
			return r.Map(func(key string) error {
				var values []string
				err := r.Object(func(name string) error {
					if name == "values" {
						return r.Strings(&values)
					}
					return nil
				})
				if u.Header == nil {
					u.Header = make(map[string][]string)
				}
				u.Header[key] = values
				return err
			})
		}
		return nil
	})
}

func decodeUserFactor(r *protojson.Reader, f **UserFactor) error {
	if r.Null() {
		return nil
	}
	u := new(UserFactor)
	*f = u
	return r.Object(func(name string) error {
		switch name {
		case "verifiedAt":
			return decodeTime(r, &u.VerifiedAt, nil)
		case "id":
			return r.String(&u.ID)
		case "loginName":
			return r.String(&u.LoginName)
		case "displayName":
			return r.String(&u.DisplayName)
		case "organizationId":
			return r.String(&u.OrganizationID)
		}
		return nil
	})
}

func decodeFactor(r *protojson.Reader, f **Factor) error {
	if r.Null() {
		return nil
	}
	v := new(Factor)
	*f = v
	return r.Object(func(name string) error {
		if name == "verifiedAt" {
			return decodeTime(r, &v.VerifiedAt, nil)
		}
		return nil
	})
}

func decodeWebAuthN(r *protojson.Reader, f **WebAuthNFactor) error {
	if r.Null() {
		return nil
	}
	w := new(WebAuthNFactor)
	*f = w
	return r.Object(func(name string) error {
		switch name {
		case "verifiedAt":
			return decodeTime(r, &w.VerifiedAt, nil)
		case "userVerified":
			return r.Bool(&w.UserVerified)
		}
		return nil
	})
}

// decodeTime reads a date and notes in *given, unless that is nil, whether it is there.
func decodeTime(r *protojson.Reader, dst *Time, given *bool) error {
	if r.Null() {
		return nil
	}
	var t time.Time
	if err := r.Time(&t); err != nil {
		return err
	}
	*dst = TimeOf(t)
	if given != nil {
		*given = true
	}
	return nil
}
