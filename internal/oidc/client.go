package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxAnswerBytes is the largest answer of an issuer that is read.
	maxAnswerBytes = 256 << 10
	// maxConnections bounds the connections to one issuer.
	maxConnections = 64
)

var errAnswerTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswerBytes)

// newClient returns the HTTP client for all issuers. It follows no redirect:
// an issuer is asked where it was configured, or where its own discovery says.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSHandshakeTimeout:    3 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        maxConnections,
			MaxIdleConnsPerHost:    maxConnections / 4,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect is not followed") },
	}
}

// getJSON reads the JSON document at url into to.
func getJSON(ctx context.Context, client *http.Client, url string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	return doJSON(client, req, to)
}

// statusError says that the answer was not 200.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the answer was %d", int(e)) }

// doJSON sends req and reads the JSON of the answer into to, which must be 200.
// The body is read to its end, so that the connection can be used again.
func doJSON(client *http.Client, req *http.Request, to any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes+1))
	if err != nil {
		return err
	}
	if len(body) > maxAnswerBytes {
		return errAnswerTooLarge
	}
	if res.StatusCode != http.StatusOK {
		return statusError(res.StatusCode)
	}
	if json.Unmarshal(body, to) != nil { // the error could repeat a part of the answer (I6)
		return errors.New("the answer is not the JSON that was asked for")
	}
	return nil
}
