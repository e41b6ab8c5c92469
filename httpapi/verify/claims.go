package verify

import (
	"net/textproto"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// ClaimHeader is what the names of claims' headers begin with. Like IdentityHeaders they are there on every 200.
const ClaimHeader = "X-Session-Claim-"

// claimHeader is a claim that answers have: what it is called there, and its header.
type claimHeader struct {
	name   string
	header []byte
}

func claimHeaders(claims []oidc.NamedClaim) []claimHeader {
	list := make([]claimHeader, len(claims))
	for i, c := range claims {
		list[i] = claimHeader{c.Name, []byte(textproto.CanonicalMIMEHeaderKey(ClaimHeader + c.Name))}
	}
	return list
}

// claim returns the value of one of the claims: "" if the token does not have it, or is no JWT.
func (v *verification) claim(i int) string {
	if v.bearer == nil || i >= len(v.bearer.Claims) {
		return ""
	}
	return v.bearer.Claims[i]
}
