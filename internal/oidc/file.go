package oidc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"go.yaml.in/yaml/v3"
)

const (
	// MaxIssuers is the largest number of issuers in a file.
	MaxIssuers = 16

	defaultLeeway  = 30 * time.Second
	maxLeeway      = 5 * time.Minute
	defaultTimeout = 500 * time.Millisecond
	maxTimeout     = 5 * time.Second
	// maxSecretBytes is the size of the largest client_secret_file.
	maxSecretBytes = 4 << 10
)

// algorithms are those that a signature may have: never none, and none whose
// key would be a secret shared with the issuer.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Settings are the issuers of a file. They are immutable; nil has none.
type Settings struct {
	issuers []issuerSettings
}

// Len is the number of issuers.
func (s *Settings) Len() int {
	if s == nil {
		return 0
	}
	return len(s.issuers)
}

// Load reads an issuers file, and the files with secrets that it names, with
// read. The error lists all faults, each with its field, and repeats no value.
// (I6)
func Load(name string, read func(name string) ([]byte, error)) (*Settings, error) {
	text, err := read(name)
	if err != nil {
		return nil, err
	}
	s, err := parse(text, read)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// parse reads the text of an issuers file: a list `issuers` with at least one
// entry. docs/credentials.md has the fields.
func parse(text []byte, read func(name string) ([]byte, error)) (*Settings, error) {
	root, err := document(text)
	if err != nil {
		return nil, err
	}
	r := &reader{read: read}
	s := &Settings{}
	r.object(root, "", fields{
		"issuers": func(n *yaml.Node, at string) {
			for k, entry := range r.list(n, at) {
				s.issuers = append(s.issuers, r.issuer(entry, fmt.Sprintf("%s[%d]", at, k)))
			}
		},
	})
	switch n := len(s.issuers); {
	case n == 0 && len(r.faults) == 0:
		r.fault("issuers", nil, "must have at least one entry")
	case n > MaxIssuers:
		r.fault("issuers", nil, "must have at most %d entries, got %d", MaxIssuers, n)
	}
	for k := range s.issuers {
		for j := range k {
			if s.issuers[k].URL == s.issuers[j].URL && s.issuers[k].URL != "" {
				r.fault(fmt.Sprintf("issuers[%d].issuer", k), nil, "is also that of issuers[%d]", j)
			}
			if s.issuers[k].Name == s.issuers[j].Name && s.issuers[k].Name != "" && s.issuers[k].URL != s.issuers[j].URL {
				r.fault(fmt.Sprintf("issuers[%d].name", k), nil, "is also that of issuers[%d]", j)
			}
		}
	}
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	return s, nil
}

// issuer reads one entry.
func (r *reader) issuer(n *yaml.Node, at string) issuerSettings {
	s := issuerSettings{leeway: defaultLeeway, algorithms: []string{"RS256"}, userAt: path{"sub"}, permissionsAt: path{"scope"}}
	// It comes first, because URLs are looked at by it.
	r.peek(n, "allow_http", func(v *yaml.Node) { r.boolean(v, at+".allow_http", &s.allowHTTP) })
	given := r.object(n, at, fields{
		"name": func(v *yaml.Node, at string) { r.name(v, at, &s.Name) },
		"issuer": func(v *yaml.Node, at string) {
			r.url(v, at, s.allowHTTP, &s.URL)
			if strings.Contains(s.URL, "?") {
				r.fault(at, v, "must have no query")
			}
		},
		"audience": func(v *yaml.Node, at string) { s.audience = r.names(v, at) },
		"jwks_url": func(v *yaml.Node, at string) {
			if s.noKeys = v.Value == "none"; !s.noKeys {
				r.url(v, at, s.allowHTTP, &s.KeysURL)
			}
		},
		"algorithms": func(v *yaml.Node, at string) {
			s.algorithms = r.names(v, at)
			for _, a := range s.algorithms {
				if !slices.Contains(algorithms, a) {
					r.fault(at, v, "may have only %s", strings.Join(algorithms, ", "))
				}
			}
		},
		"leeway":     func(v *yaml.Node, at string) { r.duration(v, at, 0, maxLeeway, &s.leeway) },
		"allow_http": func(*yaml.Node, string) {},
		"claims": func(v *yaml.Node, at string) {
			r.object(v, at, fields{
				"user":          func(v *yaml.Node, at string) { r.path(v, at, &s.userAt) },
				"agent":         func(v *yaml.Node, at string) { r.path(v, at, &s.agentAt) },
				"permissions":   func(v *yaml.Node, at string) { r.path(v, at, &s.permissionsAt) },
				"organizations": func(v *yaml.Node, at string) { r.path(v, at, &s.organizationsAt) },
			})
		},
		"permissions":   func(v *yaml.Node, at string) { s.rules = r.rules(v, at) },
		"introspection": func(v *yaml.Node, at string) { s.Introspection = r.introspection(v, at, s.allowHTTP) },
		"logout":        func(v *yaml.Node, at string) { s.logout = r.logout(v, at) },
	}, "issuer", "audience")
	if s.Name == "" && !slices.Contains(given, "name") {
		s.Name = s.URL
	}
	if s.noKeys && s.Introspection == nil && !slices.Contains(given, "introspection") {
		r.fault(at+".jwks_url", nil, "is none: then introspection is required")
	}
	if s.noKeys && s.logout != nil {
		r.fault(at+".logout", nil, "needs the issuer's keys, and jwks_url is none")
	}
	return s
}

// rules reads what roles grant.
func (r *reader) rules(n *yaml.Node, at string) map[string]rule {
	rules := map[string]rule{}
	r.each(n, at, func(role string, v *yaml.Node, at string) {
		var one rule
		given := r.object(v, at, fields{
			"instance":      func(v *yaml.Node, at string) { r.permissions(v, at, &one.instance) },
			"organizations": func(v *yaml.Node, at string) { r.permissions(v, at, &one.organizations) },
			"granted_by":    func(v *yaml.Node, at string) { one.grantedBy = r.names(v, at) },
		})
		if !slices.Contains(given, "instance") && !slices.Contains(given, "organizations") {
			r.fault(at, v, "must have instance or organizations")
		}
		if slices.Contains(given, "granted_by") && !slices.Contains(given, "instance") {
			r.fault(at+".granted_by", v, "says which grants count for the instance, and there is no instance")
		}
		rules[role] = one
	})
	return rules
}

func (r *reader) permissions(n *yaml.Node, at string, to *permissions) {
	for _, name := range r.names(n, at) {
		if !to.add(name) {
			r.fault(at, n, "may have only session.read, session.write and session.delete")
		}
	}
}

func (r *reader) introspection(n *yaml.Node, at string, allowHTTP bool) *introspection {
	s := &introspection{timeout: defaultTimeout}
	r.object(n, at, fields{
		"url":       func(v *yaml.Node, at string) { r.url(v, at, allowHTTP, &s.url) },
		"client_id": func(v *yaml.Node, at string) { r.name(v, at, &s.clientID) },
		"client_secret_file": func(v *yaml.Node, at string) {
			var name string
			if !r.text(v, at, &name) {
				return
			}
			secret, err := r.secret(name)
			if err != nil {
				r.fault(at, v, "%v", err)
			}
			s.clientSecret = secret
		},
		"timeout":           func(v *yaml.Node, at string) { r.duration(v, at, 10*time.Millisecond, maxTimeout, &s.timeout) },
		"allow_no_audience": func(v *yaml.Node, at string) { r.boolean(v, at, &s.noAudience) },
	}, "url", "client_id", "client_secret_file")
	return s
}

// secret reads a file with a secret. Line ends behind the secret are no part of
// it.
func (r *reader) secret(name string) (string, error) {
	text, err := r.read(name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || len(secret) > maxSecretBytes {
		return "", fmt.Errorf("%s: must have 1 to %d bytes", name, maxSecretBytes)
	}
	return secret, nil
}

func (r *reader) logout(n *yaml.Node, at string) *logoutSettings {
	s := &logoutSettings{userAt: path{"sub"}}
	r.object(n, at, fields{
		"audience": func(v *yaml.Node, at string) { s.audience = r.names(v, at) },
		"user":     func(v *yaml.Node, at string) { r.path(v, at, &s.userAt) },
		"session":  func(v *yaml.Node, at string) { r.path(v, at, &s.sessionAt) },
	}, "audience")
	return s
}

// name reads a text that may stand in logs.
func (r *reader) name(n *yaml.Node, at string, to *string) {
	if r.text(n, at, to) && (*to == "" || utf8.RuneCountInString(*to) > session.MaxNameLen) {
		r.fault(at, n, "must have 1 to %d characters", session.MaxNameLen)
	}
}

// names reads a list of such texts, of which there must be one.
func (r *reader) names(n *yaml.Node, at string) []string {
	var list []string
	entries := r.list(n, at)
	for k, entry := range entries {
		var name string
		r.name(entry, fmt.Sprintf("%s[%d]", at, k), &name)
		list = append(list, name)
	}
	if entries != nil && len(entries) == 0 {
		r.fault(at, n, "must have at least one entry")
	}
	return list
}

func (r *reader) url(n *yaml.Node, at string, allowHTTP bool, to *string) {
	if r.text(n, at, to) {
		if err := checkURL(*to, allowHTTP); err != nil {
			r.fault(at, n, "%v", err)
		}
	}
}

// path reads where a claim is: in dots, or as a list of names.
func (r *reader) path(n *yaml.Node, at string, to *path) {
	if n.Kind == yaml.SequenceNode {
		*to = r.names(n, at)
		return
	}
	var text string
	if !r.text(n, at, &text) {
		return
	}
	p, err := parsePath(text)
	if err != nil {
		r.fault(at, n, "%v", err)
	}
	*to = p
}
