// Package apiclient asks a running sidecar to revoke sessions, over its API.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const (
	// dialTimeout bounds the wait for a connection to the sidecar.
	dialTimeout = 5 * time.Second
	// maxAnswer bounds what is read, and maxKey is the longest key, in bytes.
	maxAnswer, maxKey = 64 << 10, 4 << 10
)

// Client calls a running sidecar. It is safe for concurrent use.
type Client struct {
	http *http.Client
	name string // as the user gave it
	base string
	key  string
}

// ErrNothingRevoked says that it was told to end before it revoked.
var ErrNothingRevoked = errors.New("interrupted; nothing was revoked")

// New returns a client of the sidecar at address: http://HOST:PORT, https://HOST or
// unix:PATH. It connects to nothing yet. The API key is in keyFile, or if that is "" in
// the variable config.APIKeyEnv of env, if it is there. The error is a *usage.Error, and
// does not repeat the key. (I6)
func New(address, keyFile string, files TLSFiles, env []string, pipes followed.Pipes) (*Client, error) {
	c := &Client{name: address}
	var wrong usage.Faults
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext}
	u, err := url.Parse(address)
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		c.base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
		}
	} else if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.name = ""
		wrong.Addf("--url must be http://HOST:PORT, https://HOST or unix:PATH")
	} else {
		c.base = strings.TrimSuffix(address, "/")
	}
	transport.TLSClientConfig, err = files.config(pipes)
	if err != nil {
		wrong.Addf("%v", err)
	}
	c.key, err = readKey(keyFile, env, pipes)
	if err != nil {
		wrong.Addf("%v", err)
	}
	// A redirect would take the key elsewhere.
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, wrong.Err()
}

// readKey returns the API key, "" if none is given.
func readKey(file string, env []string, pipes followed.Pipes) (string, error) {
	source, key := config.APIKeyEnv, ""
	if file != "" {
		source = "--key-file " + file
		text, err := followed.Read(file, pipes)
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		if key = strings.TrimSpace(string(text)); key == "" {
			return "", fmt.Errorf("%s is empty", source)
		}
	} else {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, config.APIKeyEnv+"="); ok {
				key = strings.TrimSpace(value)
			}
		}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) || len(key) > maxKey {
		return "", fmt.Errorf("%s must have an API key and nothing else", source)
	}
	return key, nil
}

// Close closes the connections that no call uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Revoked is what a revocation did.
type Revoked struct {
	// Sessions is how many were revoked, or only counted; Unreplicated is how many of
	// these deletions too few replicas have.
	Sessions, Unreplicated uint64
	// NotBefore is the instant up to which JWTs of the user's logins are refused; "" if none are.
	NotBefore string
	// SessionsOfJWTs is how many of the IDs, stored or not, JWTs may name, which are refused.
	SessionsOfJWTs uint64
}

// Revoke sends a revocation. Its errors are for people, and say what to do.
func (c *Client) Revoke(ctx context.Context, r *Request) (done Revoked, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return done, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v2/sessions/revoke", bytes.NewReader(body))
	if err != nil {
		return done, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return done, c.unreached(ctx, r, err)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return done, c.unreached(ctx, r, err)
	}
	if res.StatusCode != http.StatusOK {
		return done, c.refused(res.StatusCode, text)
	}
	var answer struct{ Revoked, Unreplicated, NotBefore, SessionsOfJwts string }
	if err := json.Unmarshal(text, &answer); err == nil {
		if n, err := strconv.ParseUint(answer.Revoked, 10, 64); err == nil {
			done.Sessions = n
			done.Unreplicated, _ = strconv.ParseUint(answer.Unreplicated, 10, 64) // mostly absent
			done.SessionsOfJWTs, _ = strconv.ParseUint(answer.SessionsOfJwts, 10, 64)
			done.NotBefore = answer.NotBefore
			return done, nil
		}
	}
	return done, fmt.Errorf("%s did not answer as cloakroom does; --url says where it listens", c.name)
}

// unreached says what to do if no answer came.
func (c *Client) unreached(ctx context.Context, r *Request, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, which is named below
	}
	dial, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && dial.Op == "dial":
		return fmt.Errorf("cannot reach a sidecar at %s: %w; --url says where its API listens", c.name, err)
	case r.DryRun && ctx.Err() != nil:
		return ErrNothingRevoked
	case r.DryRun:
		return fmt.Errorf("no answer from %s: %w; nothing was revoked", c.name, err)
	case ctx.Err() != nil:
		return errors.New("interrupted; the sidecar goes on with what it was told, and its log will have the count")
	}
	return fmt.Errorf("no answer from %s: %w; some sessions may be revoked: run the same again to revoke the rest", c.name, err)
}

// refused says what an answer that is no success means, and what to do.
func (c *Client) refused(status int, body []byte) error {
	var answer struct{ Message string }
	if json.Unmarshal(body, &answer) != nil || answer.Message == "" {
		return fmt.Errorf("%s answered %d, not as cloakroom does; --url says where it listens", c.name, status)
	}
	said := fmt.Sprintf("%s answered %d: %s", c.name, status, usage.Printable(answer.Message))
	switch {
	case status == http.StatusUnauthorized && c.key == "":
		return fmt.Errorf("%s; give an API key with --key-file, or in %s; `cloakroom key new` makes one", said, config.APIKeyEnv)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%s; the API key is not among those of this sidecar, which reads its keys file within 5 seconds of a change", said)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		return fmt.Errorf("%s; is it the address of the API, not that of the admin listener, and is the sidecar of this version?", said)
	case status == http.StatusTooManyRequests:
		return fmt.Errorf("%s; try again later", said)
	case status == http.StatusServiceUnavailable && strings.Contains(answer.Message, "zitadel is unavailable"):
		return fmt.Errorf("%s; run the same again once ZITADEL is back", said)
	case status == http.StatusServiceUnavailable:
		return fmt.Errorf("%s; run the same again once Redis is back", said)
	case status == http.StatusBadGateway:
		return fmt.Errorf("%s; let the account of --upstream-token-file delete these sessions at ZITADEL, and run the same again", said)
	}
	return errors.New(said)
}
