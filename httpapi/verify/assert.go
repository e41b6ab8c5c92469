package verify

import "github.com/cloakroom-dev/cloakroom/httpapi/assertion"

// assert makes the assertion of an answer that lets pass. It is false if none is short enough:
// an application that goes by assertions would have no identity.
func (v *verification) assert() (ok bool) {
	s := v.stored
	c := assertion.Claims{
		Session: s.ID, User: s.UserID, Login: v.proof.LoginName, Org: s.OrgID, Factors: v.proof.Factors, AuthTime: v.proof.AuthTime,
		Expiration: v.expiration(), Stale: v.stale,
	}
	if v.bearer != nil {
		c.Names, c.Values = v.s.names, v.bearer.Claims
	}
	v.assertion, ok = v.s.config.Assertions.Of(&c, v.s.Store.Now())
	return ok
}
