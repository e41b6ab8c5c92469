package rpc

import (
	"errors"
	"fmt"
	"strings"
)

// Services are what a Server serves.
type Services struct {
	// API is ZITADEL's session service, Check is Envoy's external authorization.
	API, Check bool
}

// ServicesForm is how Services are written.
const ServicesForm = "api, check, or both with a comma between"

// ParseServices reads Services in ServicesForm.
func ParseServices(text string) (Services, error) {
	var s Services
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		to := map[string]*bool{"api": &s.API, "check": &s.Check}[part]
		switch {
		case to == nil:
			return Services{}, errors.New("must be " + ServicesForm)
		case *to:
			return Services{}, fmt.Errorf("has %s twice", part)
		}
		*to = true
	}
	return s, nil
}
