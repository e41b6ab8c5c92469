package session

import (
	"encoding/hex"
	"slices"

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
// Session, creator, and tokenSha256, the hash of a token in hexadecimal. The
// token is one that somebody else made, unless tokenCarriesId is true: then it
// is one of Cloakroom's form, found by the session ID that it begins with. All of
// these members may stand in the one member session, as in the answer of GetSession. Dates are truncated to the microsecond. A session
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
		return d.Object(d.member)
	})
	if err != nil {
		return nil, Given{}, err
	}
	if d.carriesID {
		if !d.given.TokenSHA256 {
			return nil, Given{}, &InvalidError{"tokenCarriesId", "must not be true without tokenSha256"}
		}
		d.session.TokenForeign = false
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
	// carriesID says that tokenCarriesId is true.
	carriesID bool
}

// givenNames are the fields that DecodeJSON takes.
var givenNames = []string{
	"id", "creationDate", "changeDate", "sequence", "factors", "metadata", "userAgent", "expirationDate", "creator", "tokenSha256", "tokenCarriesId",
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
	case "tokenCarriesId":
		return d.Bool(&d.carriesID)
	}
	return s.decodeField(d.Reader, name, &d.given)
}

// AppendGivenJSON appends the document of a stored session, as AppendJSON wrote it, with
// creator and token added, so that DecodeJSON reads all of it back.
func AppendGivenJSON(dst []byte, s *Stored) []byte {
	w := writer{append(dst, s.Doc[:len(s.Doc)-1]...)}
	w.string("creator", s.Creator)
	if !s.Token.IsZero() {
		w.name("tokenSha256")
		w.b = append(hex.AppendEncode(append(w.b, '"'), s.Token[:]), '"')
		if !s.TokenForeign {
			w.name("tokenCarriesId")
			w.b = append(w.b, "true"...)
		}
	}
	return append(w.b, '}')
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
