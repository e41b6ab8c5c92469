package verify

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// The identity headers. Each is there on every 200, empty if its value is not
// known: where one is missing, a gateway may hand on what a client has
// sent.
var (
	sessionIDName       = []byte("X-Session-Id")
	sessionUserName     = []byte("X-Session-User")
	sessionLoginName    = []byte("X-Session-Login")
	sessionOrgName      = []byte("X-Session-Org")
	sessionFactorsName  = []byte("X-Session-Factors")
	sessionAuthTimeName = []byte("X-Session-Auth-Time")
	sessionExpiresName  = []byte("X-Session-Expires")
)

// IdentityHeaders are the identity headers. StaleHeader says how old an answer is, if
// it is, and AssertionHeader is on every 200 with Config.Assertions. Applications believe all of them.
var (
	IdentityHeaders = []string{"X-Session-Id", "X-Session-User", "X-Session-Login", "X-Session-Org", "X-Session-Factors", "X-Session-Auth-Time", "X-Session-Expires"}
	StaleHeader     = "X-Session-Stale"
	AssertionHeader = "X-Session-Assertion"
)

var (
	sessionStaleName     = []byte(StaleHeader)
	sessionAssertionName = []byte(AssertionHeader)

	authReasonName   = []byte("X-Auth-Reason")
	wwwAuthName      = []byte("Www-Authenticate")
	retryAfterName   = []byte(fasthttp.HeaderRetryAfter)
	envoyTimeoutName = []byte("X-Envoy-Expected-Rq-Timeout-Ms")

	cacheControlName = []byte(fasthttp.HeaderCacheControl)
	noStore          = []byte("no-store")

	contentTypeProblem = []byte("application/problem+json")
	contentTypeBytes   = []byte("application/json")
	challenge          = []byte(`Bearer realm="cloakroom"`)
	invalidToken       = []byte(`Bearer realm="cloakroom", error="invalid_token"`)
	oneSecond          = []byte("1")
)

const (
	// maxIdentityHeader is the longest value of an identity header, in bytes. A
	// longer one is left empty, if it does not refuse: half of a name may be another's.
	maxIdentityHeader = 1 << 10
	// maxVerifyBody is the longest body, unless the user ID alone is longer.
	maxVerifyBody = 1 << 10
)

// verifyDates are the dates of an answer as text, empty if they are not known.
type verifyDates struct{ authTime, expires []byte }

// accept writes the answer that lets the request pass.
func (v *verification) accept() {
	s, h := v.stored, &v.http.Response.Header
	h.SetContentTypeBytes(contentTypeBytes)
	h.SetCanonical(cacheControlName, noStore)
	var buffer [maxIdentityHeader]byte
	var dateBuffers [2][len(`"2006-01-02T15:04:05.000000Z"`)]byte
	dates := verifyDates{appendDate(dateBuffers[0][:0], v.proof.AuthTime), appendDate(dateBuffers[1][:0], v.expiration())}
	h.SetCanonical(sessionIDName, appendHeader(buffer[:0], string(s.ID)))
	h.SetCanonical(sessionUserName, appendHeader(buffer[:0], s.UserID))
	h.SetCanonical(sessionLoginName, appendHeader(buffer[:0], v.proof.LoginName))
	h.SetCanonical(sessionOrgName, appendHeader(buffer[:0], s.OrgID))
	h.SetCanonical(sessionFactorsName, appendFactors(buffer[:0], v.proof.Factors))
	h.SetCanonical(sessionAuthTimeName, dates.authTime)
	h.SetCanonical(sessionExpiresName, dates.expires)
	for i := range v.s.claims {
		h.SetCanonical(v.s.claims[i].header, appendHeader(buffer[:0], v.claim(i)))
	}
	if v.assertion != nil {
		h.SetCanonical(sessionAssertionName, v.assertion)
	}
	if v.reason == reasonStale {
		h.SetCanonical(sessionStaleName, append(strconv.AppendInt(buffer[:0], int64(v.stale/time.Second), 10), 's'))
	}
	v.http.SetStatusCode(http.StatusOK)
	body := v.http.Response.SwapBody(nil)
	metadata := v.metadata()
	b := v.appendBody(body[:0], &dates, s.OrgID, v.proof.LoginName, metadata, true)
	if len(b) > maxVerifyBody {
		b = v.appendBody(b[:0], &dates, s.OrgID, "", nil, false)
	}
	if len(b) > maxVerifyBody {
		// Never without the user and the session: Oathkeeper takes what is missing
		// for empty, and lets pass.
		b = protojson.AppendString(append(b[:0], `{"active":true,"subject":`...), s.UserID)
		b = protojson.AppendString(append(b, `,"sub":`...), s.UserID)
		b = protojson.AppendString(append(b, `,"extra":{"session_id":`...), string(s.ID))
		b = append(b, "}}"...)
	}
	v.http.Response.SwapBody(b)
}

// appendBody appends the answer for those who read bodies (Oathkeeper's
// authenticators read subject, or sub, and extra).
func (v *verification) appendBody(b []byte, dates *verifyDates, org, login string, metadata []member, withClaims bool) []byte {
	s := v.stored
	b = append(b, `{"active":true,"subject":`...)
	from := len(b)
	b = protojson.AppendString(b, s.UserID)
	user := b[from:]
	b = append(append(b, `,"sub":`...), user...)
	b = append(b, `,"id":`...)
	from = len(b)
	b = protojson.AppendString(b, string(s.ID))
	id := b[from:]
	if len(dates.expires) > 0 {
		b = append(append(append(b, `,"expires_at":"`...), dates.expires...), '"')
	}
	if len(dates.authTime) > 0 {
		b = append(append(append(b, `,"authenticated_at":"`...), dates.authTime...), '"')
	}
	b = append(append(b, `,"identity":{"id":`...), user...)
	b = append(append(b, `},"extra":{"session_id":`...), id...)
	b = protojson.AppendString(append(b, `,"login_name":`...), login)
	b = protojson.AppendString(append(b, `,"organization_id":`...), org)
	b = append(b, `,"factors":[`...)
	first := true
	for name := range v.proof.Factors.Names() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = protojson.AppendString(b, name)
	}
	b = append(b, ']')
	if v.proof.AuthTime != 0 {
		b = strconv.AppendInt(append(b, `,"auth_time":`...), int64(v.proof.AuthTime)/1e6, 10)
	}
	if end := v.expiration(); end != session.Never {
		b = strconv.AppendInt(append(b, `,"exp":`...), int64(end)/1e6, 10)
	}
	if v.bearer != nil && len(v.s.claims) > 0 && withClaims {
		b = append(b, `,"claims":{`...)
		for i := range v.s.claims {
			if i > 0 {
				b = append(b, ',')
			}
			b = protojson.AppendString(b, v.s.claims[i].name)
			b = protojson.AppendString(append(b, ':'), v.claim(i))
		}
		b = append(b, '}')
	}
	if len(metadata) > 0 {
		b = append(b, `,"metadata":{`...)
		for i, m := range metadata {
			if i > 0 {
				b = append(b, ',')
			}
			b = protojson.AppendString(b, m.key)
			b = protojson.AppendString(append(b, ':'), m.value)
		}
		b = append(b, '}')
	}
	return append(b, "}}"...)
}

// member is an entry of metadata.
type member struct{ key, value string }

// metadata returns the metadata that the answer may have, as far as it is text.
func (v *verification) metadata() []member {
	names := v.s.config.Metadata
	if len(names) == 0 {
		return nil
	}
	parsed, err := session.ParseDoc(v.stored.Doc)
	if err != nil {
		return nil // never: its proof was read
	}
	var list []member
	for _, name := range names {
		if value, ok := parsed.Metadata[name]; ok && utf8.Valid(value) {
			list = append(list, member{name, string(value)})
		}
	}
	return list
}

// refuse writes the answer that does not let the request pass.
func (v *verification) refuse() {
	r := refusals[v.reason]
	h := &v.http.Response.Header
	v.http.Response.ResetBody()
	v.http.SetStatusCode(r.status)
	h.SetContentTypeBytes(contentTypeProblem)
	h.SetCanonical(cacheControlName, noStore)
	switch {
	case r.status == http.StatusServiceUnavailable:
		h.SetCanonical(retryAfterName, oneSecond)
	case v.reason == reasonMissing:
		h.SetCanonical(wwwAuthName, challenge)
	case r.status == http.StatusUnauthorized:
		h.SetCanonical(wwwAuthName, invalidToken)
	}
	b := append(v.http.Response.SwapBody(nil)[:0], `{"type":"about:blank","title":"`...)
	b = append(b, http.StatusText(r.status)...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	if !v.s.config.HideReason {
		h.SetCanonical(authReasonName, []byte(r.name))
		b = append(append(append(b, `,"detail":"`...), r.detail...), `","reason":"`...)
		b = append(append(b, r.name...), '"')
	}
	v.http.Response.SwapBody(append(b, '}'))
}

// appendHeader appends text as the value of a header, in at most
// maxIdentityHeader bytes: what is not visible ASCII, and the percent sign, is
// percent-encoded, as UTF-8, so that percent-decoding gives the text back.
func appendHeader(b []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	plain := 0
	for plain < len(text) && plainInHeader[text[plain]] {
		plain++
	}
	b = append(b, text[:plain]...)
	for i := plain; i < len(text); i++ {
		c := text[i]
		// A space inside is kept; one at an end would be lost.
		if plainInHeader[c] || c == ' ' && i > 0 && i < len(text)-1 {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	if len(b) > maxIdentityHeader {
		return b[:0]
	}
	return b
}

// fitsHeader says whether appendHeader takes all of text.
func fitsHeader(text string) bool {
	return len(text) <= maxIdentityHeader/3 || len(appendHeader(nil, text)) > 0
}

// plainInHeader are the bytes that appendHeader leaves as they are, wherever.
var plainInHeader = bytesThat(func(c byte) bool { return c > ' ' && c < 0x7f && c != '%' })

// bytesThat returns the set of the bytes that is tells.
func bytesThat(is func(c byte) bool) (set [256]bool) {
	for c := range set {
		set[c] = is(byte(c))
	}
	return set
}

// appendFactors appends the names of factors with commas between.
func appendFactors(b []byte, f session.FactorSet) []byte {
	for name := range f.Names() {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(b, name...)
	}
	return b
}

// appendDate appends a date as in JSON, without quotes; nothing for one that is
// not known, or never comes.
func appendDate(b []byte, t session.Time) []byte {
	if t == 0 || t == session.Never {
		return b
	}
	quoted := protojson.AppendTime(b, int64(t))
	return quoted[1 : len(quoted)-1]
}
