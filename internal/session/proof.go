package session

import (
	"iter"
	"time"
)

// MaxAhead is how far in the future a factor may have been verified, or a session
// created: so far may another clock be ahead of the store's. Until the store's
// clock comes that near, what is verified later counts as not verified, and a
// session that is created later as its user's oldest. (I1)
const MaxAhead = time.Minute

// Proof is what a session proves at some time, and of whom: what a gateway asks
// for. It is read off the stored document without decoding the rest of it (ProofOf).
type Proof struct {
	// LoginName is the user's, "" if unknown.
	LoginName string
	// Factors are those other than the user that were verified, not later than
	// MaxAhead from now.
	Factors FactorSet
	// AuthTime is when the last of them was verified; zero if that was not said.
	// As in ZITADEL, the user itself does not count.
	AuthTime Time
}

// FactorSet is a set of factors other than the user.
type FactorSet uint8

// factorNames are the factors other than the user by their names on the wire, in
// the order of the document; a factor's place is its bit in a FactorSet.
var factorNames = [...]string{"password", "webAuthN", "intent", "totp", "otpSms", "otpEmail", "recoveryCode"}

// FactorNamed returns the set of the one factor with that name on the wire; ok is
// false if there is none. The user is not one.
func FactorNamed(name string) (set FactorSet, ok bool) {
	for i, n := range factorNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// Has says whether all of other are in f.
func (f FactorSet) Has(other FactorSet) bool { return f&other == other }

// Names yields the names of the factors in f, in the order of the document.
func (f FactorSet) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, name := range factorNames {
			if f.Has(1<<i) && !yield(name) {
				return
			}
		}
	}
}

// ProofOf reads the proof at now off a document that AppendJSON wrote, without
// decoding the rest of it. lasting says that the document proves the same at any
// later time: no factor is left out because its time has not come. A document of
// another shape is an error. LoginName shares the memory of doc, which must not
// change any more.
func ProofOf(doc []byte, now Time) (p Proof, lasting bool, err error) {
	lasting = true
	sc := scanner{doc: doc, ok: true}
	sc.open("{")
	if sc.has(`,"id":`) {
		sc.raw()
	}
	sc.must(`,"creationDate":`)
	sc.raw()
	sc.must(`,"changeDate":`)
	sc.raw()
	sc.must(`,"sequence":`)
	sc.raw()
	if sc.has(`,"factors":`) {
		lasting = sc.proof(&p, now.Add(MaxAhead))
	}
	if !sc.ok {
		return Proof{}, false, errNotCanonical
	}
	return p, lasting, nil
}

// proof reads the factors that were verified until latest, and says whether
// these are all.
func (sc *scanner) proof(p *Proof, latest Time) (all bool) {
	all = true
	sc.open(`{"user":{`)
	if sc.has(`,"verifiedAt":`) {
		sc.raw()
	}
	if sc.has(`,"id":`) {
		sc.raw()
	}
	if sc.has(`,"loginName":`) {
		p.LoginName = sc.string()
	}
	if sc.has(`,"displayName":`) {
		sc.raw()
	}
	if sc.has(`,"organizationId":`) {
		sc.raw()
	}
	sc.must("}")
	for i, name := range factorMembers {
		if !sc.has(name) {
			continue
		}
		sc.open("{")
		var at Time
		if sc.has(`,"verifiedAt":`) {
			at = sc.time()
		}
		if at <= latest {
			p.Factors |= 1 << i
			p.AuthTime = max(p.AuthTime, at)
		} else {
			all = false
		}
		if sc.has(`,"userVerified":`) && !sc.has("true") {
			sc.must("false")
		}
		sc.must("}")
	}
	sc.must("}")
	return all
}

// factorMembers is how each of factorNames begins in a document.
var factorMembers = [...]string{
	`,"password":`, `,"webAuthN":`, `,"intent":`, `,"totp":`, `,"otpSms":`, `,"otpEmail":`, `,"recoveryCode":`,
}
