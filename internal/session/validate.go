package session

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// MaxNameLen is the longest user ID, fingerprint, name, address or
// description, in characters.
const MaxNameLen = 200

// What is wrong with a value, written once so that a valid session costs no formatting.
var (
	tooLong   = fmt.Sprintf("must have at most %d characters", MaxNameLen)
	wrongUser = fmt.Sprintf("must have 1 to %d characters", MaxNameLen)
	wrongKey  = fmt.Sprintf("must have keys of at most %d characters", MaxNameLen)

	tooFarAhead = fmt.Sprintf("must be at most %.0f s in the future", MaxAhead.Seconds())
)

// maxDate is the last microsecond of the year 9999, the last that RFC 3339 can write.
const maxDate Time = 253402300799999999

// Validate checks s against all limits; maxBytes is that of its document. The
// error is an *InvalidError for the first field that is at fault.
func (s *Session) Validate(maxBytes int) error {
	if _, err := ParseID(string(s.ID)); err != nil {
		return err
	}
	c := checker{bytes: fixedLen + len(s.ID)}
	c.session(s)
	if c.err != nil {
		return c.err
	}
	// Most sessions are so far below the limit that they need not be written to be measured.
	if c.bytes > maxBytes && len(AppendJSON(nil, s)) > maxBytes {
		return &InvalidError{"session", fmt.Sprintf("must have at most %d bytes", maxBytes)}
	}
	return nil
}

// The most that a document needs beyond the text of its values: for its
// fixed fields, and for each entry of a map or an array.
const (
	fixedLen = 1024
	entryLen = 32
	// escapedLen is the length of the longest escape of a byte, \u001f.
	escapedLen = 6
)

func base64Len(n int) int { return (n + 2) / 3 * 4 }

// checker keeps the first fault, and an upper bound of the document's length.
type checker struct {
	err   error
	bytes int
}

func (c *checker) fail(wrong bool, field, problem string) {
	if wrong && c.err == nil {
		c.err = &InvalidError{field, problem}
	}
}

func (c *checker) session(s *Session) {
	c.date("creationDate", s.CreationDate)
	c.date("changeDate", s.ChangeDate)
	// The sequence of the next write must not overflow.
	c.fail(s.Sequence == math.MaxUint64, "sequence", "must be at most 18446744073709551614")
	c.factors(&s.Factors)
	for key, value := range s.Metadata {
		c.key("metadata", key)
		c.bytes += base64Len(len(value))
	}
	c.userAgent(&s.UserAgent)
	if s.ExpirationDate != Never {
		c.fail(s.ExpirationDate < 0 || s.ExpirationDate > maxDate, "expirationDate", "must be a date of the years 1970 to 9999")
	}
	c.text("creator", s.Creator)
}

func (c *checker) factors(f *Factors) {
	c.fail(f.User == nil && f.Set() != 0, "factors.user", "is required with other factors")
	if u := f.User; u != nil {
		c.fail(u.ID == "", "factors.user.id", wrongUser)
		c.text("factors.user.id", u.ID)
		c.text("factors.user.loginName", u.LoginName)
		c.text("factors.user.displayName", u.DisplayName)
		c.text("factors.user.organizationId", u.OrganizationID)
	}
	f.dates(c.date)
}

// dates shows when each factor that there is was verified.
func (f *Factors) dates(show func(field string, t Time)) {
	if f.User != nil {
		show("factors.user.verifiedAt", f.User.VerifiedAt)
	}
	if f.WebAuthN != nil {
		show("factors.webAuthN.verifiedAt", f.WebAuthN.VerifiedAt)
	}
	for _, of := range [...]struct {
		field  string
		factor *Factor
	}{
		{"factors.password.verifiedAt", f.Password},
		{"factors.intent.verifiedAt", f.Intent},
		{"factors.totp.verifiedAt", f.TOTP},
		{"factors.otpSms.verifiedAt", f.OTPSMS},
		{"factors.otpEmail.verifiedAt", f.OTPEmail},
		{"factors.recoveryCode.verifiedAt", f.RecoveryCode},
	} {
		if of.factor != nil {
			show(of.field, of.factor.VerifiedAt)
		}
	}
}

// CheckAhead checks that nothing was verified later than MaxAhead from now. The
// error is an *InvalidError. Validate does not ask for this: what another store
// says by its own clock is kept, and counts when its time comes (ProofOf).
func (f *Factors) CheckAhead(now Time) error {
	var c checker
	latest := now.Add(MaxAhead)
	f.dates(func(field string, t Time) { c.fail(t > latest, field, tooFarAhead) })
	return c.err
}

func (c *checker) userAgent(u *UserAgent) {
	c.optionalText("userAgent.fingerprintId", u.FingerprintID)
	c.optionalText("userAgent.ip", u.IP)
	c.optionalText("userAgent.description", u.Description)
	for name, values := range u.Header {
		c.key("userAgent.header", name)
		for _, v := range values {
			c.fail(!utf8.ValidString(v), "userAgent.header", "must be valid UTF-8")
			c.bytes += entryLen + escapedLen*len(v)
		}
	}
}

func (c *checker) date(field string, t Time) {
	c.fail(t < 0 || t >= MaxScore, field, "must be a date of the years 1970 to 2254")
}

func (c *checker) text(field, s string) {
	c.bytes += escapedLen * len(s)
	c.fail(!utf8.ValidString(s), field, "must be valid UTF-8")
	if len(s) > MaxNameLen {
		c.fail(utf8.RuneCountInString(s) > MaxNameLen, field, tooLong)
	}
}

func (c *checker) optionalText(field string, s *string) {
	if s != nil {
		c.text(field, *s)
	}
}

// key checks a key of a map. The error does not repeat it, so that it is the
// same whichever key of several is met first.
func (c *checker) key(field, key string) {
	c.bytes += entryLen + escapedLen*len(key)
	c.fail(!utf8.ValidString(key), field, "must have keys of valid UTF-8")
	if len(key) > MaxNameLen {
		c.fail(utf8.RuneCountInString(key) > MaxNameLen, field, wrongKey)
	}
}
