package verify

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Policy is what verify asks of a session that is good. All of
// it has to hold; zero fields ask for nothing. A nil policy asks for nothing.
type Policy struct {
	// Factors must all have been verified.
	Factors session.FactorSet
	// MaxAge is how long ago the last factor may have been verified, as max_age
	// in OpenID Connect. A session that does not say when is too old.
	MaxAge time.Duration
	// Organizations has the user's.
	Organizations []string
}

// holds says whether s fulfils p at the time that now tells.
func (p *Policy) holds(s *session.Stored, proof *session.Proof, now func() session.Time) bool {
	return p == nil || proof.Factors.Has(p.Factors) && p.isRecent(proof, now) && p.hasUserOf(s)
}

// isRecent says whether the last factor was verified as late as MaxAge asks for.
func (p *Policy) isRecent(proof *session.Proof, now func() session.Time) bool {
	return p.MaxAge <= 0 || now().Sub(proof.AuthTime) <= p.MaxAge
}

// hasUserOf says whether the user is of one of the Organizations.
func (p *Policy) hasUserOf(s *session.Stored) bool {
	return len(p.Organizations) == 0 || s.OrgID != "" && slices.Contains(p.Organizations, s.OrgID)
}

const (
	// MaxPolicies is how many policies there may be.
	MaxPolicies = 100
	// maxPolicyAge is the largest MaxAge.
	maxPolicyAge = 10 * 365 * 24 * time.Hour
)

var policyName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// PolicyForm is how a policy is written.
const PolicyForm = "NAME=factors:password+webAuthN,max_age:15m,organizations:1+2, each part optional"

// ParsePolicy reads a policy in PolicyForm: factors and organizations are
// joined by +, and each of the parts may be left out.
func ParsePolicy(text string) (name string, p *Policy, err error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || !policyName.MatchString(name) || name == "." || name == ".." {
		return "", nil, errors.New("a policy begins with a name of at most 64 letters, digits, dots, dashes and underscores, and =")
	}
	p = new(Policy)
	seen := map[string]bool{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(part, ":")
		key = strings.TrimSpace(key)
		if !ok || seen[key] {
			return "", nil, fmt.Errorf("policy %s: must have each of factors:…, max_age:… and organizations:… at most once, with commas between", name)
		}
		seen[key] = true
		if err := p.set(key, strings.TrimSpace(value)); err != nil {
			return "", nil, fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return name, p, nil
}

func (p *Policy) set(key, value string) error {
	switch key {
	case "factors":
		for name := range strings.SplitSeq(value, "+") {
			f, ok := session.FactorNamed(name)
			if !ok {
				return errors.New("factors must be password, webAuthN, intent, totp, otpSms, otpEmail or recoveryCode, joined by +")
			}
			p.Factors |= f
		}
	case "max_age":
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > maxPolicyAge {
			return fmt.Errorf("max_age must be a duration such as 15m, above 0 and at most %v", maxPolicyAge)
		}
		p.MaxAge = d
	case "organizations":
		for org := range strings.SplitSeq(value, "+") {
			if org == "" || len(org) > session.MaxNameLen {
				return fmt.Errorf("organizations must have 1 to %d characters each, joined by +", session.MaxNameLen)
			}
			p.Organizations = append(p.Organizations, org)
		}
	default:
		return errors.New("knows only factors, max_age and organizations")
	}
	return nil
}
