package verify

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"
)

// Credential is one of the headers or cookies in which verify looks for a session token.
type Credential struct {
	kind credentialKind
	// cookie is the name of the cookie.
	cookie string
}

type credentialKind uint8

const (
	credentialBearer credentialKind = iota
	credentialHeader
	credentialCookie
)

// The credentials other than cookies. Another scheme than Bearer in the Authorization
// header counts as if nothing was there.
var (
	CredentialBearer = Credential{kind: credentialBearer} // Authorization: Bearer
	CredentialHeader = Credential{kind: credentialHeader} // X-Session-Token
)

// CredentialForm is how a list of credentials is written.
const CredentialForm = "bearer, x-session-token and cookie:NAME, in the order in which they are looked for, with commas between"

// maxCredentials bounds how many credentials are looked for.
const maxCredentials = 16

// ParseCredentials reads a list in CredentialForm.
func ParseCredentials(text string) ([]Credential, error) {
	var list []Credential
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		var c Credential
		switch name, isCookie := strings.CutPrefix(part, "cookie:"); {
		case part == "bearer":
			c = CredentialBearer
		case part == "x-session-token":
			c = CredentialHeader
		case isCookie && cookieName(name):
			c = Credential{credentialCookie, name}
		default:
			return nil, errors.New("must be " + CredentialForm)
		}
		for _, other := range list {
			if other == c {
				return nil, fmt.Errorf("has %s twice", part)
			}
		}
		if list = append(list, c); len(list) > maxCredentials {
			return nil, fmt.Errorf("must have at most %d", maxCredentials)
		}
	}
	return list, nil
}

// cookieName says whether name is a token of RFC 9110, 5.6.2.
func cookieName(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// maxTokenLen is the longest session token that is looked up, in bytes.
const maxTokenLen = 4 << 10

// findCredential returns the first token that is present, in the order of list.
// One that is present and wrong does not let the next decide. Of two different
// ones in one header or cookie none is believed: a client may have added the other.
// It has 1 to longest bytes, whichever these are, and is a part of h. (I8)
func findCredential(h *fasthttp.RequestHeader, list []Credential, longest int) (token []byte, why reason) {
	for _, c := range list {
		var found []byte
		var present, clear bool
		switch c.kind {
		case credentialBearer:
			found, present, clear = bearer(h.PeekAll(fasthttp.HeaderAuthorization))
		case credentialHeader:
			found, present, clear = single(h.PeekAll(headerSessionToken))
		case credentialCookie:
			found, present, clear = cookie(h.PeekAll(fasthttp.HeaderCookie), c.cookie)
		}
		switch {
		case !present:
			continue
		case !clear || len(found) == 0 || len(found) > longest:
			return nil, reasonMalformed
		}
		return found, reasonGood
	}
	return nil, reasonMissing
}

// headerSessionToken brings a session token where Authorization is taken.
const headerSessionToken = "X-Session-Token"

// single returns the value of a header that may be there once. clear is false
// if it is there again.
func single(values [][]byte) (value []byte, present, clear bool) {
	if len(values) == 0 {
		return nil, false, true
	}
	return values[0], true, len(values) == 1
}

var bearerScheme = []byte("Bearer")

// bearer returns the token of an Authorization header with that scheme.
func bearer(values [][]byte) (token []byte, present, clear bool) {
	for _, v := range values {
		scheme, rest, _ := bytes.Cut(v, []byte(" "))
		if bytes.EqualFold(scheme, bearerScheme) {
			token, present = bytes.TrimLeft(rest, " "), true
		}
	}
	return token, present, len(values) <= 1
}

// cookie returns the value of a cookie. It may stand there twice, with the same
// value. RFC 6265, 4.2.1 and 5.2: pairs with semicolons between, the value
// perhaps in quotes.
func cookie(headers [][]byte, name string) (value []byte, present, clear bool) {
	for _, list := range headers {
		for len(list) > 0 {
			pair := list
			if i := bytes.IndexByte(list, ';'); i >= 0 {
				pair, list = list[:i], list[i+1:]
			} else {
				list = nil
			}
			pair = bytes.TrimLeft(pair, " \t")
			if len(pair) <= len(name) || pair[len(name)] != '=' || string(pair[:len(name)]) != name {
				continue
			}
			v := bytes.TrimRight(pair[len(name)+1:], " \t")
			if n := len(v); n >= 2 && v[0] == '"' && v[n-1] == '"' {
				v = v[1 : n-1]
			}
			if present && !bytes.Equal(v, value) {
				return nil, true, false
			}
			value, present = v, true
		}
	}
	return value, present, true
}

// plainToken says whether b can be a token: visible ASCII without what
// separates things in headers and cookies.
func plainToken(b []byte) bool {
	for _, c := range b {
		if !plainInToken[c] {
			return false
		}
	}
	return true
}

var plainInToken = bytesThat(func(c byte) bool {
	return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'
})
