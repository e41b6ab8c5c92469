package session

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// ParseDoc decodes a document that AppendJSON wrote. Creator and Token, which
// are not in it, stay zero.
func ParseDoc(doc []byte) (*Session, error) { return parseDoc(doc, "") }

// ParseWhole is ParseDoc for the document of another store, of which nothing may be lost: members that
// are not known here, wherever they are, are refused.
func ParseWhole(doc []byte) (*Session, error) {
	return parseDoc(doc, "is not known here")
}

// Decode reads a session as a part of a larger document, as ParseWhole does.
func Decode(r *protojson.Reader) (*Session, error) {
	r.RefuseUnknown("is not known here")
	s := &Session{ExpirationDate: Never}
	var given Given
	return s, r.Object(func(name string) error { return s.decodeField(r, name, &given) })
}

// parseDoc refuses what is not known, as unknown says, unless that is "".
func parseDoc(doc []byte, unknown string) (*Session, error) {
	s := &Session{ExpirationDate: Never}
	var given Given
	err := protojson.Decode(doc, func(r *protojson.Reader) error {
		if unknown != "" {
			r.RefuseUnknown(unknown)
		}
		return r.Object(func(name string) error { return s.decodeField(r, name, &given) })
	})
	if err != nil {
		return nil, err
	}
	return s, nil
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
