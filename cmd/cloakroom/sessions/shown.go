package sessions

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// shown has the members of a session that are shown to people. Other members are in its JSON only.
type shown struct {
	ID, Sequence                             string
	CreationDate, ChangeDate, ExpirationDate time.Time
	Factors                                  struct {
		User                                     userFactor
		Password, Intent, TOTP, OTPSMS, OTPEmail *factor
		WebAuthN                                 *factor
		RecoveryCode                             *factor
	}
	UserAgent struct {
		FingerprintID, IP, Description string
		Header                         map[string]struct{ Values []string }
	}
	Metadata map[string][]byte
}

type userFactor struct {
	VerifiedAt                                 time.Time
	ID, LoginName, DisplayName, OrganizationID string
}

type factor struct {
	VerifiedAt   time.Time
	UserVerified bool
}

// read reads a session.
func read(text json.RawMessage) (*shown, error) {
	s := new(shown)
	return s, json.Unmarshal(text, s)
}

// namedFactor is a factor with its name.
type namedFactor struct {
	name string
	*factor
}

// proofs returns the factors that are more than a name of the user.
func (s *shown) proofs() (all []namedFactor) {
	f := &s.Factors
	for _, n := range []namedFactor{
		{"password", f.Password},
		{"webAuthN", f.WebAuthN},
		{"intent", f.Intent},
		{"totp", f.TOTP},
		{"otpSms", f.OTPSMS},
		{"otpEmail", f.OTPEmail},
		{"recoveryCode", f.RecoveryCode},
	} {
		if n.factor != nil {
			all = append(all, n)
		}
	}
	return all
}

// proofNames lists the names of those that were verified.
func (s *shown) proofNames() string {
	var names []string
	for _, n := range s.proofs() {
		if !n.VerifiedAt.IsZero() {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// since says how long ago a date was.
func since(at, now time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case at.After(now):
		return "in " + age(at.Sub(now))
	}
	return age(now.Sub(at))
}

// left says how long it is until a session ends.
func (s *shown) left(now time.Time) string {
	switch {
	case s.ExpirationDate.IsZero():
		return "never"
	case !s.ExpirationDate.After(now):
		return "ended"
	}
	return age(s.ExpirationDate.Sub(now))
}

// cell makes a text from outside a cell of a table.
func cell(text string) string {
	if text = strings.TrimSpace(usage.Printable(text)); text == "" {
		return "-"
	}
	return text
}
