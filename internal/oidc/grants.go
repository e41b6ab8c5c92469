package oidc

import (
	"slices"
	"strings"
)

// rule says what a role, a scope or whatever the permissions claim holds grants.
type rule struct {
	// instance are permissions for the whole instance, organizations for those
	// that the token names.
	instance, organizations permissions
	// grantedBy are the organizations whose grant of the role counts for the
	// instance.
	grantedBy []string
}

// permissions is a set of session.read, session.write and session.delete.
type permissions struct{ read, write, delete bool }

// add adds a permission by its name.
func (p *permissions) add(name string) bool {
	switch name {
	case "session.read":
		p.read = true
	case "session.write":
		p.write = true
	case "session.delete":
		p.delete = true
	default:
		return false
	}
	return true
}

// all grants p for the whole instance.
func (a *Access) all(p permissions) {
	a.Read.All = a.Read.All || p.read
	a.Write.All = a.Write.All || p.write
	a.Delete.All = a.Delete.All || p.delete
}

// in grants p for an organization.
func (a *Access) in(organization string, p permissions) {
	for _, g := range []struct {
		to   *Grant
		does bool
	}{{&a.Read, p.read}, {&a.Write, p.write}, {&a.Delete, p.delete}} {
		if g.does && !slices.Contains(g.to.Organizations, organization) {
			g.to.Organizations = append(g.to.Organizations, organization)
		}
	}
}

// grant gives a what the claims grant, and nothing that no rule says:
//
//   - the permissions claim is a text or a list of texts: each of its roles
//     grants what its rule says, for the instance, and for the organizations
//     that the organizations claim names;
//   - it is an object (ZITADEL): each of its members is a role, and the names
//     of that member's own members are the organizations that it holds in. It
//     grants for these only, be its permissions those for the instance or not;
//     for the instance only if one of them is among the rule's grantedBy.
//
// Anything else in these claims grants nothing.
func (s *issuerSettings) grant(a *Access, claims map[string]any) {
	if len(s.rules) == 0 {
		return
	}
	switch found := s.permissionsAt.find(claims).(type) {
	case string:
		s.plain(a, strings.Fields(found), claims)
	case []any:
		s.plain(a, texts(found), claims)
	case map[string]any:
		for role, r := range s.rules {
			holds, _ := found[role].(map[string]any)
			for organization := range holds {
				if !validName(organization) {
					continue
				}
				a.in(organization, r.organizations)
				a.in(organization, r.instance)
				if slices.Contains(r.grantedBy, organization) {
					a.all(r.instance)
				}
			}
		}
	}
	for _, g := range []*Grant{&a.Read, &a.Write, &a.Delete} {
		slices.Sort(g.Organizations)
	}
}

// plain grants what roles grant that are not tied to organizations.
func (s *issuerSettings) plain(a *Access, roles []string, claims map[string]any) {
	organizations := namesIn(s.organizationsAt.find(claims))
	for _, role := range roles {
		r, ok := s.rules[role]
		if !ok {
			continue
		}
		a.all(r.instance)
		for _, o := range organizations {
			a.in(o, r.organizations)
		}
	}
}

// namesIn returns the organizations that a claim names: one as a text, a list
// of texts, or an object whose members are named after them.
func namesIn(claim any) (names []string) {
	switch claim := claim.(type) {
	case string:
		names = []string{claim}
	case []any:
		names = texts(claim)
	case map[string]any:
		for name := range claim {
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return !validName(n) })
}

// texts returns the texts in a list.
func texts(list []any) (found []string) {
	for _, v := range list {
		if text, ok := v.(string); ok {
			found = append(found, text)
		}
	}
	return found
}
