package oidc

import "time"

// ageBy has keys grow old by a clock of the test's. It must be called before Set.
func (v *Verifier) ageBy(clock func() time.Time) { v.age = clock }

// patient has a token whose key is not known wait so long for the keys: a test that is not about this must not meet it on a
// slow machine. No token may be looked at meanwhile.
func (v *Verifier) patient(d time.Duration) {
	v.patience = d
	if now := v.current.Load(); now != nil {
		for _, i := range now.list {
			i.patience = d
		}
	}
}
