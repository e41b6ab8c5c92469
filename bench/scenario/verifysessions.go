package scenario

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// The sessions of verify-steady are not those of the dataset, and no search of
// another scenario finds them: other IDs, users, devices and creator, and dates
// before those of any dataset.
const (
	verifyPrefix     = "28826" // begins their IDs, followed by sessionDigits
	verifyUserPrefix = "3184808"
	verifyCreator    = "79629026806489000"
	tokenDigits      = 43
)

var (
	verifyCreated = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	verifyExpires = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// verifySession and verifyUser are the IDs of session i and its user, each of
// which has one. Their token is known before they are stored: the ID, a dot and
// i in 43 digits.
func verifySession(i int) string { return fmt.Sprintf("%s%0*d", verifyPrefix, sessionDigits, i) }

func verifyUser(i int) string { return fmt.Sprintf("%s%0*d", verifyUserPrefix, userDigits, i) }

func verifyToken(i int) string { return fmt.Sprintf("%s.%0*d", verifySession(i), tokenDigits, i) }

// appendVerifySession appends session i as a line for the import API.
func appendVerifySession(b []byte, i int) []byte {
	user, created := verifyUser(i), verifyCreated.Add(time.Duration(i)*time.Millisecond)
	verified := Date(created.Add(9 * time.Second))
	b = fmt.Appendf(b, `{"id":"%s","creationDate":"%s","changeDate":"%s","sequence":"4",`, verifySession(i), Date(created), verified)
	b = fmt.Appendf(b, `"factors":{"user":{"verifiedAt":"%s","id":"%s","loginName":"visitor%d@nordwind.example","displayName":"Visitor Number %d","organizationId":"281739955209961483"},`,
		Date(created), user, i, i)
	b = fmt.Appendf(b, `"password":{"verifiedAt":"%s"},"totp":{"verifiedAt":"%s"}},"metadata":{"client":"d2ViLXBvcnRhbA==","tenant":"bm9yZHdpbmQ="},`, verified, verified)
	b = fmt.Appendf(b, `"userAgent":{"fingerprintId":"verify%026d","ip":"203.0.113.%d","description":"Chrome 132, Windows",`+
		`"header":{"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},`, i, i%250)
	return fmt.Appendf(b, `"expirationDate":"%s","creator":"%s","tokenSha256":"%x"}`+"\n", Date(verifyExpires), verifyCreator, sha256.Sum256([]byte(verifyToken(i))))
}
