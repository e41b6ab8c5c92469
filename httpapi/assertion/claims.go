package assertion

import (
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Claims are the identity in an assertion. Zero values are left out; only User must be there.
type Claims struct {
	Session session.ID
	User    string
	Login   string
	Org     string
	Factors session.FactorSet
	// AuthTime is when the last factor was verified.
	AuthTime session.Time
	// Expiration is when the session ends, or the token that names it: no assertion lasts
	// longer, and one that is made later has expired. session.Never is left out, too.
	Expiration session.Time
	// Stale is how old the answer is, in whole seconds.
	Stale time.Duration
	// Names and Values are claims of the JWT that was brought. There are as many Names as
	// Values, or more.
	Names, Values []string
}

// append appends the claims, without those that are the same in all assertions and those that are
// made anew for each. Unless all, login name and Values are left out, and named as such.
func (c *Claims) append(b []byte, all bool) []byte {
	b = appendText(b, `,"sub":`, c.User)
	b = appendText(b, `,"sid":`, string(c.Session))
	b = appendText(b, `,"org_id":`, c.Org)
	if all {
		b = appendText(b, `,"preferred_username":`, c.Login)
	}
	if c.Factors != 0 {
		b = append(b, `,"factors":[`...)
		from := len(b)
		for name := range c.Factors.Names() {
			if len(b) > from {
				b = append(b, ',')
			}
			b = protojson.AppendString(b, name)
		}
		b = append(b, ']')
	}
	b = appendDate(b, `,"auth_time":`, c.AuthTime)
	b = appendDate(b, `,"session_expiry":`, c.Expiration)
	if c.Stale > 0 {
		b = strconv.AppendInt(append(b, `,"stale":`...), int64(c.Stale/time.Second), 10)
	}
	if all {
		return c.appendValues(b)
	}
	return c.appendOmitted(b)
}

// appendValues appends the claims of the JWT.
func (c *Claims) appendValues(b []byte) []byte {
	begin := `,"claims":{`
	for i, value := range c.Values {
		if value == "" {
			continue
		}
		b = protojson.AppendString(append(b, begin...), c.Names[i])
		b = protojson.AppendString(append(b, ':'), value)
		begin = ","
	}
	if begin == "," {
		b = append(b, '}')
	}
	return b
}

// appendOmitted names the claims that are left out of an assertion that would be too long.
func (c *Claims) appendOmitted(b []byte) []byte {
	b = append(b, `,"omitted":[`...)
	from := len(b)
	if c.Login != "" {
		b = append(b, `"preferred_username"`...)
	}
	for _, value := range c.Values {
		if value != "" {
			if len(b) > from {
				b = append(b, ',')
			}
			b = append(b, `"claims"`...)
			break
		}
	}
	return append(b, ']')
}

// appendText appends a member, unless it is empty.
func appendText(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return protojson.AppendString(append(b, name...), value)
}

// appendDate appends a date as a NumericDate (RFC 7519), unless it is not known or never comes.
func appendDate(b []byte, name string, t session.Time) []byte {
	if t == 0 || t == session.Never {
		return b
	}
	return strconv.AppendInt(append(b, name...), int64(t)/microseconds, 10)
}

// microseconds is how many there are in a second: session.Time counts them.
const microseconds = 1e6
