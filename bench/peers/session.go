package peers

import (
	"encoding/json"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// session is a session as the API answers it, for a store that keeps its parts.
type session struct {
	ID             string            `json:"id"`
	CreationDate   date              `json:"creationDate"`
	ChangeDate     date              `json:"changeDate"`
	Sequence       int64             `json:"sequence,string"`
	Factors        factors           `json:"factors"`
	Metadata       map[string][]byte `json:"metadata,omitempty"`
	UserAgent      userAgent         `json:"userAgent"`
	ExpirationDate date              `json:"expirationDate"`
	Creator        string            `json:"creator"`
}

type factors struct {
	User struct {
		VerifiedAt     date   `json:"verifiedAt"`
		ID             string `json:"id"`
		LoginName      string `json:"loginName"`
		DisplayName    string `json:"displayName"`
		OrganizationID string `json:"organizationId"`
	} `json:"user"`
	Password *factor `json:"password,omitempty"`
	Intent   *factor `json:"intent,omitempty"`
	WebAuthN *factor `json:"webAuthN,omitempty"`
	TOTP     *factor `json:"totp,omitempty"`
	OTPSMS   *factor `json:"otpSms,omitempty"`
	OTPEmail *factor `json:"otpEmail,omitempty"`
}

type factor struct {
	VerifiedAt   date `json:"verifiedAt"`
	UserVerified bool `json:"userVerified,omitempty"` // of webAuthN only
}

// newFactor returns the factor that was verified at t, nil if t is.
func newFactor(t *time.Time) *factor {
	if t == nil {
		return nil
	}
	return &factor{VerifiedAt: date(*t)}
}

// time is the inverse of newFactor.
func (f *factor) time() *time.Time {
	if f == nil {
		return nil
	}
	t := time.Time(f.VerifiedAt)
	return &t
}

type userAgent struct {
	FingerprintID string                  `json:"fingerprintId"`
	IP            string                  `json:"ip"`
	Description   string                  `json:"description"`
	Header        map[string]headerValues `json:"header,omitempty"`
}

type headerValues struct {
	Values []string `json:"values"`
}

// date is a date as the API writes it.
type date time.Time

// MarshalText implements encoding.TextMarshaler.
func (d date) MarshalText() ([]byte, error) { return []byte(scenario.Date(time.Time(d))), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *date) UnmarshalText(text []byte) error { return (*time.Time)(d).UnmarshalText(text) }

func parseSession(text []byte) (*session, error) {
	s := new(session)
	return s, json.Unmarshal(text, s)
}
