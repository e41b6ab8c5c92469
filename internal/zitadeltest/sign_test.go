package zitadeltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

func sign(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}
