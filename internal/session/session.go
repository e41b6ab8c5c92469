// Package session holds the words of the field: Session and its parts, ID,
// Token, Time, Facts and Stored, their JSON, and the errors that every layer
// of Cloakroom shares. It does no I/O and imports nothing else of ours but the
// JSON mapping, so every package can use it.
//
// Names and shapes are those of ZITADEL's session service, v2.
package session

// ID names a session. IDs that Cloakroom makes are 19 decimal digits, sorted
// by the time of their making (NewID); IDs given from outside are 1–128
// characters of A–Z a–z 0–9 . _ ~ : - (ParseID).
type ID string

// Session is one authentication session: the part that goes over the wire,
// and the two facts about it that never do (Creator, Token).
//
// A Session is a plain value; nothing in it is shared with a store.
type Session struct {
	ID           ID
	CreationDate Time
	ChangeDate   Time
	// Sequence counts the writes of this session; the first is 1.
	Sequence  uint64
	Factors   Factors
	Metadata  map[string][]byte
	UserAgent UserAgent
	// ExpirationDate is the instant at which the session ends, Never if it
	// does not. The zero value is the epoch: a session made without a thought
	// about its end is over, not immortal.
	ExpirationDate Time

	// Creator is the user ID of the caller that created the session; not on the wire.
	Creator string
	// Token is the hash of the current session token, zero if there is none; not on the wire.
	Token TokenHash
	// TokenForeign says that somebody else made the token, so that it does not
	// carry the session's ID and has to be looked up by its hash.
	TokenForeign bool
	// CheckedAt is when the question was sent that the system of record answered with
	// this version; zero where there is none. Not on the wire.
	CheckedAt Time
}

// Factors are what has been verified. Only a session with a user has factors
// on the wire; a nil factor was never verified.
type Factors struct {
	User         *UserFactor
	Password     *Factor
	WebAuthN     *WebAuthNFactor
	Intent       *Factor
	TOTP         *Factor
	OTPSMS       *Factor
	OTPEmail     *Factor
	RecoveryCode *Factor
}

// UserFactor says whose session it is.
type UserFactor struct {
	// VerifiedAt is zero if it was not said.
	VerifiedAt     Time
	ID             string
	LoginName      string
	DisplayName    string
	OrganizationID string
}

// Factor is one verified factor. VerifiedAt is zero if it was not said.
type Factor struct {
	VerifiedAt Time
}

// WebAuthNFactor is a verified passkey or security key.
type WebAuthNFactor struct {
	VerifiedAt   Time
	UserVerified bool
}

// UserAgent is the device behind a session. It is absent from the wire when
// all its parts are unset. A nil pointer is unset; a pointer to "" is a given
// empty string, which counts as no fingerprint.
type UserAgent struct {
	FingerprintID *string
	IP            *string
	Description   *string
	// Header has the values of each header name, in order.
	Header map[string][]string
}

// Facts are what searches and permissions ask of a session. They are read off
// the stored document without decoding the rest of it (FactsOf).
type Facts struct {
	ID         ID
	Creation   Time
	Expiration Time // Never if it does not end
	Sequence   uint64
	UserID     string // "" without a user factor
	OrgID      string // the checked user's organization, "" if unknown
	AgentID    string // the fingerprint ID, "" if there is none
	Creator    string
}

// Due says whether the session has ended at now, by the store's clock. (I1)
func (f *Facts) Due(now Time) bool { return f.Expiration <= now }

// Stored is one stored version of a session. It is read-only: near copies
// share it between goroutines.
type Stored struct {
	// Doc is the session in its wire form, JSON as AppendJSON writes it. It
	// stands before the Facts so that what a Get reads is close together.
	Doc []byte
	Facts
	// Token, TokenForeign and CheckedAt are as in Session.
	Token        TokenHash
	TokenForeign bool
	CheckedAt    Time
	// Proof is what ProofOf reads off Doc: in copies, which are verified more
	// often than they are loaded. nil says that nobody has read it, or that it
	// depends on the time.
	Proof *Proof
	// Version names this stored version: random bytes that every write draws
	// anew. A write replaces exactly the version that its caller read. Only
	// reads in order to write get it; "" otherwise.
	Version string
	// EntryTag is the Version of the write that added this session's entries
	// in other shards; "" with one shard. It comes with Version. Only cache and
	// index read it.
	EntryTag string
}

// Facts returns the facts of s, as FactsOf reads them off its document.
func (s *Session) Facts() Facts {
	f := Facts{ID: s.ID, Creation: s.CreationDate, Expiration: s.ExpirationDate, Sequence: s.Sequence, Creator: s.Creator}
	if u := s.Factors.User; u != nil {
		f.UserID, f.OrgID = u.ID, u.OrganizationID
	}
	if s.UserAgent.FingerprintID != nil {
		f.AgentID = *s.UserAgent.FingerprintID
	}
	return f
}

// Set returns the verified factors other than the user.
func (f *Factors) Set() FactorSet {
	var set FactorSet
	for i, verified := range [...]bool{
		f.Password != nil, f.WebAuthN != nil, f.Intent != nil, f.TOTP != nil, f.OTPSMS != nil, f.OTPEmail != nil, f.RecoveryCode != nil,
	} {
		if verified {
			set |= 1 << i
		}
	}
	return set
}
