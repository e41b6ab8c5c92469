package oidc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/strictyaml"
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

// LoginsEnd says whether what an issuer ends is noted for good: of some, gateways bring JWTs, or logouts name
// sessions.
func (s *Settings) LoginsEnd() bool {
	return s != nil && slices.ContainsFunc(s.issuers, func(i issuerSettings) bool {
		return i.verify != nil || i.logout != nil && i.logout.sessionAt != nil
	})
}

// Bears says whether some of the issuers have JWTs that gateways bring.
func (s *Settings) Bears() bool {
	return s != nil && slices.ContainsFunc(s.issuers, func(i issuerSettings) bool { return i.verify != nil })
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
	root, err := strictyaml.Read(text)
	switch {
	case err != nil:
		return nil, err
	case !root.Given():
		return nil, errors.New("the file is empty")
	}
	s := &Settings{}
	var entries []strictyaml.Value
	root.Object(strictyaml.Fields{
		"issuers": func(v strictyaml.Value) {
			entries = v.List()
			for _, entry := range entries {
				s.issuers = append(s.issuers, readIssuer(entry, read))
			}
		},
	})
	switch n := len(entries); {
	case n == 0 && root.Err() == nil:
		root.Field("issuers").Fault("must have at least one entry")
	case n > MaxIssuers:
		root.Field("issuers").Fault("must have at most %d entries, got %d", MaxIssuers, n)
	}
	for k := range s.issuers {
		for j := range k {
			if s.issuers[k].URL == s.issuers[j].URL && s.issuers[k].URL != "" {
				entries[k].Field("issuer").Fault("is also that of %s", entries[j].At)
			}
			if s.issuers[k].Name == s.issuers[j].Name && s.issuers[k].Name != "" && s.issuers[k].URL != s.issuers[j].URL {
				entries[k].Field("name").Fault("is also that of %s", entries[j].At)
			}
		}
	}
	separate(s.issuers, entries)
	if err := root.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// readIssuer reads one entry.
func readIssuer(v strictyaml.Value, read func(name string) ([]byte, error)) issuerSettings {
	s := issuerSettings{leeway: defaultLeeway, lifetime: defaultLifetime, algorithms: algorithms, userAt: path{"sub"}}
	// It comes first, because URLs are looked at by it.
	if allow := v.Field("allow_http"); allow.Given() {
		allow.Boolean(&s.allowHTTP)
	}
	v.Object(strictyaml.Fields{
		"name": func(v strictyaml.Value) { readName(v, &s.Name) },
		"issuer": func(v strictyaml.Value) {
			readURL(v, s.allowHTTP, &s.URL)
			if strings.Contains(s.URL, "?") {
				v.Fault("must have no query")
			}
		},
		"audience": func(v strictyaml.Value) { s.audience = readNames(v) },
		"jwks_url": func(v strictyaml.Value) {
			if s.noKeys = v.Node.Value == "none"; !s.noKeys {
				readURL(v, s.allowHTTP, &s.KeysURL)
			}
		},
		"algorithms": func(v strictyaml.Value) {
			s.algorithms = readNames(v)
			for _, a := range s.algorithms {
				if !slices.Contains(algorithms, a) {
					v.Fault("may have only %s", strings.Join(algorithms, ", "))
				}
			}
		},
		"leeway":     func(v strictyaml.Value) { v.Duration(0, maxLeeway, &s.leeway) },
		"allow_http": func(strictyaml.Value) {},
		"claims": func(v strictyaml.Value) {
			v.Object(strictyaml.Fields{
				"user":          func(v strictyaml.Value) { readPath(v, &s.userAt) },
				"agent":         func(v strictyaml.Value) { readPath(v, &s.agentAt) },
				"permissions":   func(v strictyaml.Value) { readPath(v, &s.permissionsAt) },
				"organizations": func(v strictyaml.Value) { readPath(v, &s.organizationsAt) },
			})
		},
		"permissions":   func(v strictyaml.Value) { s.rules = readRules(v) },
		"introspection": func(v strictyaml.Value) { s.Introspection = readIntrospection(v, s.allowHTTP, read) },
		"logout":        func(v strictyaml.Value) { s.logout = readLogout(v) },
		"verify":        func(v strictyaml.Value) { s.verify = readVerify(v) },
		"session_max_lifetime": func(v strictyaml.Value) {
			v.Duration(minLifetime, maxLifetime, &s.lifetime)
		},
	}, "issuer")
	completeVerify(v, &s)
	if !v.Field("name").Given() {
		s.Name = s.URL
	}
	if v.Field("permissions").Given() && s.permissionsAt == nil {
		v.Field("claims").Field("permissions").Fault("is missing: name the claim that has the roles. A scope is only what a client asked for, and no permission")
	}
	if s.noKeys && !v.Field("introspection").Given() {
		v.Field("jwks_url").Fault("is none: then introspection is required")
	}
	if s.noKeys && s.verify != nil {
		v.Field("verify").Fault("needs the issuer's keys, and jwks_url is none")
	}
	if s.noKeys && s.logout != nil {
		v.Field("logout").Fault("needs the issuer's keys, and jwks_url is none")
	}
	return s
}

// readRules reads what roles grant.
func readRules(v strictyaml.Value) map[string]rule {
	rules := map[string]rule{}
	v.Each(func(role string, v strictyaml.Value) {
		var one rule
		v.Object(strictyaml.Fields{
			"instance":      func(v strictyaml.Value) { readPermissions(v, &one.instance) },
			"organizations": func(v strictyaml.Value) { readPermissions(v, &one.organizations) },
			"granted_by":    func(v strictyaml.Value) { one.grantedBy = readNames(v) },
		})
		if !v.Field("instance").Given() && !v.Field("organizations").Given() {
			v.Fault("must have instance or organizations")
		}
		if by := v.Field("granted_by"); by.Given() && !v.Field("instance").Given() {
			by.Fault("says which grants count for the instance, and there is no instance")
		}
		rules[role] = one
	})
	return rules
}

func readPermissions(v strictyaml.Value, to *permissions) {
	for _, name := range readNames(v) {
		if !to.add(name) {
			v.Fault("may have only session.read, session.write and session.delete")
		}
	}
}

func readIntrospection(v strictyaml.Value, allowHTTP bool, read func(name string) ([]byte, error)) *introspection {
	s := &introspection{timeout: defaultTimeout}
	v.Object(strictyaml.Fields{
		"url":       func(v strictyaml.Value) { readURL(v, allowHTTP, &s.url) },
		"client_id": func(v strictyaml.Value) { readName(v, &s.clientID) },
		"client_secret_file": func(v strictyaml.Value) {
			var name string
			if !v.Text(&name) {
				return
			}
			secret, err := readSecret(name, read)
			if err != nil {
				v.Fault("%v", err)
			}
			s.clientSecret = secret
		},
		"timeout":           func(v strictyaml.Value) { v.Duration(10*time.Millisecond, maxTimeout, &s.timeout) },
		"allow_no_audience": func(v strictyaml.Value) { v.Boolean(&s.noAudience) },
	}, "url", "client_id", "client_secret_file")
	return s
}

// readSecret reads a file with a secret. Line ends behind the secret are no part
// of it.
func readSecret(name string, read func(name string) ([]byte, error)) (string, error) {
	text, err := read(name)
	if err != nil {
		return "", err
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || len(secret) > maxSecretBytes {
		return "", fmt.Errorf("%s: must have 1 to %d bytes", name, maxSecretBytes)
	}
	return secret, nil
}

func readLogout(v strictyaml.Value) *logoutSettings {
	s := new(logoutSettings)
	v.Object(strictyaml.Fields{
		"audience": func(v strictyaml.Value) { s.audience = readNames(v) },
		"user":     func(v strictyaml.Value) { readPath(v, &s.userAt) },
		"session":  func(v strictyaml.Value) { readPath(v, &s.sessionAt) },
	}, "audience")
	return s
}

// readName reads a text that may stand in logs.
func readName(v strictyaml.Value, to *string) { v.Name(1, session.MaxNameLen, to) }

// readNames reads a list of such texts, of which there must be one.
func readNames(v strictyaml.Value) []string { return v.Names(session.MaxNameLen) }

func readURL(v strictyaml.Value, allowHTTP bool, to *string) {
	if v.Text(to) {
		if err := checkURL(*to, allowHTTP); err != nil {
			v.Fault("%v", err)
		}
	}
}

// readPath reads where a claim is: in dots, or as a list of names.
func readPath(v strictyaml.Value, to *path) {
	if v.IsList() {
		*to = readNames(v)
		return
	}
	var text string
	if !v.Text(&text) {
		return
	}
	p, err := parsePath(text)
	if err != nil {
		v.Fault("%v", err)
	}
	*to = p
}
