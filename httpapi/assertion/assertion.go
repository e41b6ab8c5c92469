// Package assertion makes assertions: JWTs of at most a minute with the identity behind a
// request, for applications that check a signature and so need not trust any header's name. Look
// here for the claims, the keys, and for how long an assertion is answered again; when one is
// made is in httpapi/verify.
//
// Operating range: up to MaxKeys keys, assertions of at most MaxBytes. Those that are answered
// again take at most 32 MiB.
package assertion

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// Type is the typ of assertions.
	Type = "session-assertion+jwt"
	// MaxBytes is the longest assertion. Gateways and applications take about 8 KiB of headers.
	MaxBytes = 4 << 10
	// MaxAudience is how many names Audience may have, MaxName how long each is, in bytes.
	MaxAudience, MaxName = 10, 200
	// LeastLifetime and MostLifetime are the bounds of Lifetime. Dates are whole seconds, and the
	// clocks of two machines differ: less than a few seconds is refused where it should not be.
	LeastLifetime, MostLifetime = 5 * time.Second, time.Minute
	// DefaultIssuer and DefaultLifetime are the defaults of Config.
	DefaultIssuer   = "cloakroom"
	DefaultLifetime = 30 * time.Second

	// maxBegin is how many bytes issuer and audience take as JSON, at most: they are in every assertion.
	maxBegin = 2200
	// maxMade is about how many bytes assertions take that may be answered again, madeBytes
	// how many each takes beside its texts.
	maxMade   = 32 << 20
	madeBytes = 200
	idBytes   = 16
)

// Config configures a Signer. Audience is required.
type Config struct {
	// Issuer is the iss of assertions; default DefaultIssuer.
	Issuer string
	// Audience is the aud of all assertions.
	Audience []string
	// Lifetime is how long an assertion lasts, unless its session ends earlier; default
	// DefaultLifetime. Parts of a second do not count.
	Lifetime time.Duration
}

// Check returns the first fault of c.
func (c *Config) Check() error {
	bad := func(name string) bool { return name == "" || len(name) > MaxName || !utf8.ValidString(name) }
	switch {
	case len(c.Audience) == 0 || len(c.Audience) > MaxAudience || slices.ContainsFunc(c.Audience, bad):
		return fmt.Errorf("the audience must be 1 to %d names of 1 to %d bytes", MaxAudience, MaxName)
	case c.Issuer != "" && bad(c.Issuer):
		return fmt.Errorf("the issuer must have at most %d bytes", MaxName)
	case c.Lifetime != 0 && (c.Lifetime < LeastLifetime || c.Lifetime > MostLifetime):
		return fmt.Errorf("the lifetime must be from %v to %v", LeastLifetime, MostLifetime)
	}
	if n := len(c.appendBegin(nil)); n > maxBegin {
		return fmt.Errorf("issuer and audience must together have at most %d bytes as JSON, not %d: they are in every assertion", maxBegin, n)
	}
	return nil
}

// appendBegin appends the beginning of every payload.
func (c *Config) appendBegin(b []byte) []byte {
	b = protojson.AppendString(append(b, `{"iss":`...), cmp.Or(c.Issuer, DefaultIssuer))
	b = append(b, `,"aud":`...)
	if len(c.Audience) == 1 {
		return protojson.AppendString(b, c.Audience[0])
	}
	for i, name := range c.Audience {
		b = protojson.AppendString(append(b, "[,"[min(i, 1)]), name)
	}
	return append(b, ']')
}

// Signer makes assertions. Make it with New. It is safe for concurrent use.
type Signer struct {
	lifetime int64  // in microseconds
	begin    []byte // of every payload
	seed     maphash.Seed
	current  atomic.Pointer[signing]
}

// signing is signing with the keys of one moment. With others it begins with nothing made.
type signing struct {
	keys *Keys
	made bounded.Cache[uint64, made]
}

// made is an assertion that may be answered again. It is found by a hash of its claims, and
// its own are compared: so it says the same as a new one.
type made struct {
	claims string
	text   []byte
	// from and until are when it may be answered.
	from, until session.Time
}

// New checks c and returns a Signer that signs with keys. It starts no goroutine.
func New(c Config, keys *Keys) (*Signer, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if keys == nil {
		return nil, errors.New("keys are missing")
	}
	s := &Signer{lifetime: cmp.Or(c.Lifetime, DefaultLifetime).Microseconds(), begin: c.appendBegin(nil), seed: maphash.MakeSeed()}
	s.SetKeys(keys)
	return s, nil
}

// SetKeys replaces the keys. No assertion of the ones before is answered from then on.
func (s *Signer) SetKeys(keys *Keys) {
	s.current.Store(&signing{keys, bounded.InBytes(maxMade, func(_ uint64, m made) uint32 { return uint32(madeBytes + len(m.claims) + len(m.text)) })})
}

// Keys are those in force.
func (s *Signer) Keys() *Keys { return s.current.Load().keys }

// Of returns an assertion with these claims, which must not be changed. One that was made with
// the same ones is returned again for the first half of its time. now is the time by the clock
// that sessions end by. ok is false if it would be longer than MaxBytes, even without
// the claims that may be left out.
func (s *Signer) Of(c *Claims, now session.Time) (assertion []byte, ok bool) {
	var buffer [1 << 10]byte
	claims := c.append(append(buffer[:0], s.begin...), true)
	if len(claims) > maxClaims {
		if claims = c.append(append(claims[:0], s.begin...), false); len(claims) > maxClaims {
			return nil, false
		}
	}
	using := s.current.Load()
	hash := maphash.Bytes(s.seed, claims)
	if m, found := using.made.GetIfPresent(hash); found && m.from <= now && now < m.until && m.claims == string(claims) {
		return m.text, true
	}
	issued := int64(now) / microseconds
	until := (issued*microseconds + s.lifetime) / microseconds
	if c.Expiration != session.Never {
		until = min(until, int64(c.Expiration)/microseconds)
	}
	m := made{claims: string(claims), from: now, until: now + (session.Time(until*microseconds)-now)/2}
	m.text = using.keys.sign(make([]byte, 0, headerBytes+1+base64.RawURLEncoding.EncodedLen(len(claims)+endBytes)+signatureBytes), appendEnd(claims, issued, until))
	if m.until > now {
		using.made.Set(hash, m)
	}
	return m.text, true
}

// appendEnd appends the claims that are made anew for each assertion, and closes it.
func appendEnd(b []byte, issued, until int64) []byte {
	var random [idBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	b = strconv.AppendInt(append(b, `,"iat":`...), issued, 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), until, 10)
	b = base64.RawURLEncoding.AppendEncode(append(b, `,"jti":"`...), random[:])
	return append(b, `"}`...)
}

// How long the parts of an assertion are at most.
var (
	headerBytes    = len(appendHeader(nil, thumbprint("")))
	endBytes       = len(appendEnd(nil, farOff, farOff))
	signatureBytes = 1 + base64.RawURLEncoding.EncodedLen(64)
	maxClaims      = base64.RawURLEncoding.DecodedLen(MaxBytes-headerBytes-signatureBytes) - endBytes
)

// farOff is a date with as many digits as any of the next thousands of years, in seconds.
const farOff = 253402300799
