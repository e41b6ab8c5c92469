package scenario

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io"
	"time"
)

const (
	PerUser  = 5 // sessions of each user
	creators = 10
	// apart is the time from one session's creation to the next one's.
	apart    = 10 * time.Millisecond
	lifetime = 30 * 24 * time.Hour

	sessionPrefix = "18826"
	sessionDigits = 14
	userPrefix    = "2184808"
	userDigits    = 11
	creatorPrefix = "69629026806489"
)

// Dataset is what seed stores and the scenarios ask for. All of it follows from
// the number of sessions and the date of the newest: five sessions for each
// user, on two devices, made by ten creators. Session i is 18826 and i in 14
// digits; its user is 2184808 and i modulo the number of users in 11 digits.
// Session i+1 is 10 ms younger than session i.
type Dataset struct {
	Sessions int       // a multiple of PerUser
	Newest   time.Time // creation of the last
}

// Users is how many users there are.
func (d Dataset) Users() int { return d.Sessions / PerUser }

func (d Dataset) userOf(i int) int { return i % d.Users() }

// OfUser returns the user's k-th session, 0 ≤ k < 5, the oldest first.
func (d Dataset) OfUser(user, k int) int { return user + k*d.Users() }

// Created is when session i was created.
func (d Dataset) Created(i int) time.Time {
	return d.Newest.Add(-time.Duration(d.Sessions-1-i) * apart)
}

func (d Dataset) expires(i int) time.Time { return d.Created(i).Add(lifetime) }

// device is 0 or 1: which of its user's devices session i is on.
func (d Dataset) device(i int) int { return i / d.Users() % 2 }

func (d Dataset) fingerprint(user, device int) string {
	h := fnv.New128a()
	_, _ = fmt.Fprintf(h, "%d %d", user, device)
	return hex.EncodeToString(h.Sum(nil))
}

// SessionID is the ID of session i.
func SessionID(i int) string { return fmt.Sprintf("%s%0*d", sessionPrefix, sessionDigits, i) }

// UserID is the ID of a user, from 0.
func UserID(user int) string { return fmt.Sprintf("%s%0*d", userPrefix, userDigits, user) }

func creatorID(i int) string { return fmt.Sprintf("%s%03d", creatorPrefix, i%creators) }

// Date formats a date as ZITADEL's API wants it.
func Date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// AppendSession appends session i to b, as a line for the import API.
func (d Dataset) AppendSession(b []byte, i int) []byte {
	user, created := d.userOf(i), d.Created(i)
	at := func(after time.Duration) string { return Date(created.Add(after)) }
	b = fmt.Appendf(b, `{"id":"%s","creationDate":"%s","changeDate":"%s","sequence":"4",`, SessionID(i), at(0), at(20*time.Second))
	b = fmt.Appendf(b, `"factors":{"user":{"verifiedAt":"%s","id":"%s","loginName":"user%d@nordwind.example","displayName":"User Number %d","organizationId":"281739955209961483"},`,
		at(0), UserID(user), user, user)
	b = fmt.Appendf(b, `"password":{"verifiedAt":"%s"},"totp":{"verifiedAt":"%s"}},"metadata":{"client":"d2ViLXBvcnRhbA==","tenant":"bm9yZHdpbmQ="},`,
		at(9*time.Second), at(20*time.Second))
	b = fmt.Appendf(b, `"userAgent":{"fingerprintId":"%s","ip":"203.0.113.%d","description":"Chrome 132, Windows","header":{"accept-language":{"values":["sv-SE,sv;q=0.9,en;q=0.8"]},`+
		`"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},`, d.fingerprint(user, d.device(i)), user%250)
	return fmt.Appendf(b, `"expirationDate":"%s","creator":"%s"}`+"\n", at(lifetime), creatorID(i))
}

// Write writes the whole dataset, a line for each session, until ctx ends; it calls
// done now and then with the number of sessions that are written.
func (d Dataset) Write(ctx context.Context, w io.Writer, done func(int)) error {
	return writeLines(ctx, w, d.Sessions, d.AppendSession, done)
}

// writeLines writes the lines 0 to n−1; it calls done now and then with the
// number of those that are written.
func writeLines(ctx context.Context, w io.Writer, n int, appendLine func(b []byte, i int) []byte, done func(int)) error {
	const batch = 1000
	bw := bufio.NewWriterSize(w, 1<<16)
	var line []byte
	for i := range n {
		if i%batch == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			done(i)
		}
		line = appendLine(line[:0], i)
		if _, err := bw.Write(line); err != nil {
			return err
		}
	}
	done(n)
	return bw.Flush()
}
