package oidc

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// path leads to a claim: the names of members, from outside to inside. A nil
// path leads nowhere.
type path []string

// parsePath reads a path in dots: "realm_access.roles". A backslash takes the
// dot or backslash behind it as a part of the name. Colons and slashes are
// ordinary characters.
func parsePath(text string) (path, error) {
	var p path
	var name strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
			if i == len(text) || text[i] != '.' && text[i] != '\\' {
				return nil, errors.New(`has a backslash that is not before a dot or a backslash`)
			}
			name.WriteByte(text[i])
		case c == '.':
			p = append(p, name.String())
			name.Reset()
		default:
			name.WriteByte(c)
		}
	}
	p = append(p, name.String())
	return p, p.check()
}

// check says what is wrong with p.
func (p path) check() error {
	if len(p) == 0 {
		return errors.New("must have a name")
	}
	for _, name := range p {
		if name == "" {
			return errors.New("must have no empty name")
		}
	}
	return nil
}

// find returns the claim that p leads to, nil if there is none.
func (p path) find(claims map[string]any) any {
	if len(p) == 0 {
		return nil
	}
	var at any = claims
	for _, name := range p {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

// text returns the text that p leads to, "" if there is none. ok is false if
// something else is there, or a text that is empty or that no user, user agent
// or session could be named by.
func (p path) text(claims map[string]any) (text string, ok bool) {
	found := p.find(claims)
	if found == nil {
		return "", true
	}
	text, ok = found.(string)
	return text, ok && validName(text)
}

// validName says whether a user or an organization can have this name.
func validName(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= session.MaxNameLen
}
