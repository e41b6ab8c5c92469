package zitadeltest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// state is that of a session or a user.
type state int

const (
	never state = iota
	active
	locked
	inactive
	terminated // of a user: removed
)

// writeModel is what commands know of a session: what its events say. It stays when its user is locked, and when it is deleted.
type writeModel struct {
	state                           state
	sequence                        uint64
	changeDate, expiration          time.Time
	tokenID, userID, organizationID string
}

// row is a session as it is read. It is never changed once it is stored.
type row struct {
	id                     string
	number                 uint64 // of its creation
	creationDate           time.Time
	changeDate, expiration time.Time // no expiration: zero
	sequence               uint64
	creator, tokenID       string
	userID, organizationID string // of the user factor
	metadata               map[string][]byte
	agent                  *sessionv2.UserAgent

	// When the factors were verified; zero: never.
	user, password, webAuthN, intent, totp, otpSMS, otpEmail, recoveryCode time.Time
	userVerified                                                           bool
}

// proven says whether a factor besides the user was verified.
func (r *row) proven() bool {
	return !r.password.IsZero() || !r.webAuthN.IsZero() || !r.intent.IsZero() || !r.totp.IsZero() || !r.otpSMS.IsZero() || !r.otpEmail.IsZero() || !r.recoveryCode.IsZero()
}

// date is a date as the database keeps it, in microseconds; nil for zero.
func date(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t.Truncate(time.Microsecond))
}

// session is the session that a row is shown as. The caller holds mu.
func (s *Server) session(r *row) *sessionv2.Session {
	shown := &sessionv2.Session{
		Id: r.id, CreationDate: date(r.creationDate), ChangeDate: date(r.changeDate), Sequence: r.sequence,
		Metadata: r.metadata, UserAgent: r.agent, ExpirationDate: date(r.expiration),
	}
	if r.userID == "" {
		return shown
	}
	f := &sessionv2.Factors{User: &sessionv2.UserFactor{VerifiedAt: date(r.user), Id: r.userID, OrganizationId: r.organizationID}}
	if u := s.users[r.userID]; u != nil {
		f.User.LoginName, f.User.DisplayName = u.LoginName, u.DisplayName
	}
	if at := date(r.password); at != nil {
		f.Password = &sessionv2.PasswordFactor{VerifiedAt: at}
	}
	if at := date(r.webAuthN); at != nil {
		f.WebAuthN = &sessionv2.WebAuthNFactor{VerifiedAt: at, UserVerified: r.userVerified}
	}
	if at := date(r.intent); at != nil {
		f.Intent = &sessionv2.IntentFactor{VerifiedAt: at}
	}
	if at := date(r.totp); at != nil {
		f.Totp = &sessionv2.TOTPFactor{VerifiedAt: at}
	}
	if at := date(r.otpSMS); at != nil {
		f.OtpSms = &sessionv2.OTPFactor{VerifiedAt: at}
	}
	if at := date(r.otpEmail); at != nil {
		f.OtpEmail = &sessionv2.OTPFactor{VerifiedAt: at}
	}
	if at := date(r.recoveryCode); at != nil {
		f.RecoveryCode = &sessionv2.RecoveryCodeFactor{VerifiedAt: at}
	}
	shown.Factors = f
	return shown
}
