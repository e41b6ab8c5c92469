package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

const (
	// Header is the header with the signature: t=UNIX,v1=HEX[,v1=HEX…].
	Header = "Zitadel-Signature"
	// tolerance is how far its time may be from ours.
	tolerance = 300 * time.Second
	// maxSignature is the length of the longest such header, maxSums how many v1 it may have: while keys change ZITADEL signs
	// with several. maxDigits is the length of the longest t.
	maxSignature, maxSums, maxDigits = 2 << 10, 16, 12
)

var errForm = &refusal.Error{
	Code: refusal.Unauthorised,
	Text: fmt.Sprintf("ZITADEL-Signature must be t=SECONDS,v1=HEX, once, with one t and 1 to %d v1 of 64 digits, in %d bytes at most", maxSums, maxSignature),
}

// sum is an HMAC-SHA256.
type sum [sha256.Size]byte

// Signature is what the header says.
type Signature struct {
	// at is t as it was written, which is what was signed.
	at   []byte
	sums []sum
}

// Signature reads the lines of the header, and looks whether its time is near ours. It needs no body. The result does not
// point into lines.
func (r *Receiver) Signature(lines [][]byte) (*Signature, error) {
	s, err := parseSignature(lines)
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(string(s.at), 10, 64)
	if err != nil {
		return nil, errForm
	}
	if off := r.Clock().Sub(time.Unix(seconds, 0)); off > tolerance || off < -tolerance {
		return nil, errStale
	}
	return s, nil
}

func parseSignature(lines [][]byte) (*Signature, error) {
	if len(lines) != 1 || len(lines[0]) > maxSignature {
		return nil, errForm
	}
	s := &Signature{}
	for part := range bytes.SplitSeq(lines[0], []byte(",")) {
		name, value, _ := bytes.Cut(bytes.TrimSpace(part), []byte("="))
		switch string(name) {
		case "t":
			if s.at != nil || len(value) == 0 || len(value) > maxDigits || len(bytes.Trim(value, "0123456789")) > 0 {
				return nil, errForm
			}
			s.at = bytes.Clone(value) // I8
		case "v1":
			var one sum
			if len(s.sums) == maxSums || len(value) != hex.EncodedLen(len(one)) {
				return nil, errForm
			}
			if _, err := hex.Decode(one[:], value); err != nil {
				return nil, errForm
			}
			s.sums = append(s.sums, one)
		} // another is of a scheme that is not known yet
	}
	if s.at == nil || len(s.sums) == 0 {
		return nil, errForm
	}
	return s, nil
}

// by says whether one of the sums is that of body by one of the keys. Its name is the same for the same time and body, whichever
// of the sums was left in the header.
func (s *Signature) by(keys *upstream.EventKeys, body []byte) (name sum, ok bool) {
	for i, key := range keys.All() {
		mac := hmac.New(sha256.New, key)
		mac.Write(s.at)
		mac.Write([]byte("."))
		mac.Write(body)
		var want sum
		mac.Sum(want[:0])
		if i == 0 {
			name = want
		}
		for j := range s.sums {
			if hmac.Equal(want[:], s.sums[j][:]) {
				ok = true
			}
		}
	}
	return name, ok
}
