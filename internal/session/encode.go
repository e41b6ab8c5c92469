package session

import (
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// AppendJSON appends s in its wire form, the one that is stored and spliced
// into answers. Fields stand in the order of ZITADEL's proto and map keys are
// sorted, so equal sessions have equal documents, and FactsOf relies on it.
//
// As in the proto3 JSON mapping, empty strings, empty maps and what is unset
// are left out; sequence, creationDate, changeDate and webAuthN.userVerified
// are always there. factors is there only if the user factor is.
func AppendJSON(dst []byte, s *Session) []byte {
	w := writer{append(dst, '{')}
	w.string("id", string(s.ID))
	w.time("creationDate", s.CreationDate)
	w.time("changeDate", s.ChangeDate)
	w.name("sequence")
	w.b = protojson.AppendUint64(w.b, s.Sequence)
	if s.Factors.User != nil {
		w.open("factors")
		w.factors(&s.Factors)
		w.close()
	}
	if len(s.Metadata) > 0 {
		w.open("metadata")
		var buffer [16]string
		for _, key := range sortedKeys(buffer[:0], s.Metadata) {
			w.key(key)
			w.b = protojson.AppendBytes(w.b, s.Metadata[key])
		}
		w.close()
	}
	if s.UserAgent.isSet() {
		w.open("userAgent")
		w.userAgent(&s.UserAgent)
		w.close()
	}
	if s.ExpirationDate != Never {
		w.time("expirationDate", s.ExpirationDate)
	}
	return append(w.b, '}')
}

// writer appends the members of objects.
type writer struct{ b []byte }

func (w *writer) factors(f *Factors) {
	w.open("user")
	w.optionalTime("verifiedAt", f.User.VerifiedAt)
	w.string("id", f.User.ID)
	w.string("loginName", f.User.LoginName)
	w.string("displayName", f.User.DisplayName)
	w.string("organizationId", f.User.OrganizationID)
	w.close()
	w.factor("password", f.Password)
	if f.WebAuthN != nil {
		w.open("webAuthN")
		w.optionalTime("verifiedAt", f.WebAuthN.VerifiedAt)
		w.name("userVerified")
		if f.WebAuthN.UserVerified {
			w.b = append(w.b, "true"...)
		} else {
			w.b = append(w.b, "false"...)
		}
		w.close()
	}
	w.factor("intent", f.Intent)
	w.factor("totp", f.TOTP)
	w.factor("otpSms", f.OTPSMS)
	w.factor("otpEmail", f.OTPEmail)
	w.factor("recoveryCode", f.RecoveryCode)
}

func (w *writer) factor(name string, f *Factor) {
	if f == nil {
		return
	}
	w.open(name)
	w.optionalTime("verifiedAt", f.VerifiedAt)
	w.close()
}

func (w *writer) userAgent(u *UserAgent) {
	w.optionalString("fingerprintId", u.FingerprintID)
	w.optionalString("ip", u.IP)
	w.optionalString("description", u.Description)
	if len(u.Header) == 0 {
		return
	}
	w.open("header")
	var buffer [16]string
	for _, key := range sortedKeys(buffer[:0], u.Header) {
		w.key(key)
		w.b = append(w.b, '{')
		if values := u.Header[key]; len(values) > 0 {
			w.name("values")
			w.b = append(w.b, '[')
			for i, v := range values {
				if i > 0 {
					w.b = append(w.b, ',')
				}
				w.b = protojson.AppendString(w.b, v)
			}
			w.b = append(w.b, ']')
		}
		w.b = append(w.b, '}')
	}
	w.close()
}

// sortedKeys appends the keys of m to buffer, sorted.
func sortedKeys[V any](buffer []string, m map[string]V) []string {
	for key := range m {
		buffer = append(buffer, key)
	}
	slices.Sort(buffer)
	return buffer
}

// isSet says whether any part of u is set.
func (u *UserAgent) isSet() bool {
	return u.FingerprintID != nil || u.IP != nil || u.Description != nil || len(u.Header) > 0
}

// name appends a name that needs no escaping, behind a comma unless it is the
// first of its object.
func (w *writer) name(name string) {
	w.comma()
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

// key appends a key of a map.
func (w *writer) key(key string) {
	w.comma()
	w.b = append(protojson.AppendString(w.b, key), ':')
}

func (w *writer) comma() {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) open(name string) {
	w.name(name)
	w.b = append(w.b, '{')
}

func (w *writer) close() { w.b = append(w.b, '}') }

func (w *writer) string(name, value string) {
	if value != "" {
		w.name(name)
		w.b = protojson.AppendString(w.b, value)
	}
}

func (w *writer) optionalString(name string, value *string) {
	if value != nil {
		w.name(name)
		w.b = protojson.AppendString(w.b, *value)
	}
}

func (w *writer) time(name string, t Time) {
	w.name(name)
	w.b = protojson.AppendTime(w.b, int64(t))
}

func (w *writer) optionalTime(name string, t Time) {
	if t != 0 {
		w.time(name, t)
	}
}
