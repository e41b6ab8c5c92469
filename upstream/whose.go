package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// myUserPath is AuthService.GetMyUser, which needs no membership. It has no Connect form.
	myUserPath = "/auth/v1/users/me"
	// candidates is how many sessions of a user are asked for, the newest by their creation: lists have no other order.
	candidates = 100
	// maxUserID is the length of the longest user ID, in bytes.
	maxUserID = 1 << 10
)

// The IDs with which ZITADEL refuses a session token as a credential.
const (
	idNoToken  = "AUTH-7fs1e"
	idUnproven = "AUTHZ-Kl3p0"
	idExpired  = "AUTHZ-EGDo3"
)

// UserOf asks, with a session token as the credential, who its user is. Where ZITADEL refuses it, the error is
// session.ErrNoToken if it has made no such token, session.ErrExpired, session.ErrWrongToken if its session has another token, or
// session.ErrNotFound: its session is gone, or nothing of its user was verified, which may change. All
// other errors wrap ErrUnavailable. (I2)
func (c *Client) UserOf(ctx context.Context, token string) (userID string, err error) {
	if token == "" || !plausible(token) {
		return "", session.ErrNoToken
	}
	// What ZITADEL says of its load, it says to us: we ask for the sake of somebody who has not proven anything.
	a, err := c.Call(ctx, Request{Name: "me", Method: http.MethodGet, Path: myUserPath, As: As("Bearer " + token), Read: true, asUs: true})
	if err != nil {
		return "", err
	}
	if a.Status == http.StatusOK {
		var answer struct {
			User struct {
				ID string `json:"id"`
			} `json:"user"`
		}
		if !a.isJSON() || json.Unmarshal(a.Body, &answer) != nil || answer.User.ID == "" || len(answer.User.ID) > maxUserID {
			return "", &UnavailableError{Reason: "its answer is no user"}
		}
		return answer.User.ID, nil
	}
	if after := a.pause(time.Now()); after > 0 {
		return "", &RetryLaterError{After: after}
	}
	switch p, _ := a.problem(); {
	case a.Status == http.StatusUnauthorized && p.id == idNoToken:
		return "", session.ErrNoToken
	case a.Status == http.StatusForbidden && p.id == idExpired:
		return "", session.ErrExpired
	case a.Status == http.StatusForbidden && p.id == idWrongToken:
		return "", session.ErrWrongToken
	case a.Status == http.StatusForbidden && p.id == idUnproven, a.Status == http.StatusNotFound && p.id == idNoSession:
		return "", session.ErrNotFound
	}
	return "", &UnavailableError{Reason: statusReason(a.Status)}
}

// SessionsOf returns the sessions that a token that ZITADEL takes for a user's may be of, with our credentials: of the newest
// 100 those that have not ended, and in which more than the user was verified, the last changed first. Lists lag behind:
// the session may not be there yet.
func (c *Client) SessionsOf(ctx context.Context, userID string) ([]session.ID, error) {
	id, err := json.Marshal(userID)
	if err != nil {
		return nil, &UnavailableError{Reason: "the question cannot be written"}
	}
	page, err := c.List(ctx, fmt.Appendf(nil, `{"query":{"limit":%d},"queries":[{"userIdQuery":{"id":%s}}],"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE"}`, candidates, id))
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return nil, &UnavailableError{Reason: statusReason(refused.Status)}
	}
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(page.Sessions, func(s Listed) bool { return s.Decoded == nil || !mayHaveToken(s.Decoded, userID, page.At) })
	slices.SortStableFunc(found, func(a, b Listed) int { return cmp.Compare(b.Decoded.ChangeDate, a.Decoded.ChangeDate) })
	ids := make([]session.ID, len(found))
	for i, s := range found {
		ids[i] = s.ID
	}
	return ids, nil
}

// mayHaveToken says whether a token that is one of this user's now may be this session's. at is when the list was made.
func mayHaveToken(s *session.Session, userID string, at session.Time) bool {
	f := &s.Factors
	proven := f.Password != nil || f.WebAuthN != nil || f.Intent != nil || f.TOTP != nil || f.OTPSMS != nil || f.OTPEmail != nil || f.RecoveryCode != nil
	return f.User != nil && f.User.ID == userID && proven && s.ExpirationDate > at
}
