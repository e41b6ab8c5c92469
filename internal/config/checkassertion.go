package config

import (
	"fmt"

	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkAssertion reads the keys of assertions, and makes their signer.
func checkAssertion(c *Config, wrong *usage.Faults) {
	if !c.good("assertion-key-file", "assertion-audience", "assertion-issuer", "assertion-lifetime") {
		return
	}
	a := &c.assertion
	switch {
	case c.assertionKeyFile == "" && len(a.Audience) > 0:
		wrong.Addf("--assertion-audience needs keys: set --assertion-key-file")
		return
	case c.assertionKeyFile == "":
		return
	case len(a.Audience) == 0:
		if !c.misspelt {
			wrong.Addf("--assertion-key-file needs --assertion-audience: the names of the applications that assertions are for")
		}
		return
	case a.Issuer == "":
		wrong.Addf("--assertion-issuer must not be empty with --assertion-key-file")
		return
	}
	if err := a.Check(); err != nil {
		wrong.Addf("--assertion-audience, --assertion-issuer: %v", err)
		return
	}
	path := c.assertionKeyFile
	r := &followed.Files[*assertion.Keys]{
		Setting: "assertion-key-file",
		Parse: func(read func(string) ([]byte, error)) (*assertion.Keys, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			k, err := assertion.ParseKeys(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return k, nil
		},
		Done: "keys of assertions reloaded", Kept: "the keys of assertions were not reloaded, the old ones stay",
		Says: func(k *assertion.Keys) []any { return []any{"keys", k.Len(), "signs", k.ID()} },
	}
	if err := r.Open(c.pipes); err != nil {
		wrong.Addf("--assertion-key-file: %v", err)
		return
	}
	signer, err := assertion.New(*a, r.Value())
	if err != nil {
		wrong.Addf("--assertion-key-file: %v", err)
		return
	}
	r.Then = signer.SetKeys
	c.AssertionKeys, c.API.Verify.Assertions = r, signer
}
