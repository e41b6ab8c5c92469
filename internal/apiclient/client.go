// Package apiclient asks a running sidecar for sessions, and to revoke them, over its API.
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
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const (
	// dialTimeout bounds the wait for a connection to the sidecar.
	dialTimeout = 5 * time.Second
	// maxKey is the longest key, in bytes.
	maxKey = 4 << 10
)

// Client calls a running sidecar. It is safe for concurrent use.
type Client struct {
	http *http.Client
	name string // as the user gave it
	base string
	key  string
}

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

// send sends a request and returns the status and the body of the answer, of at most so many bytes.
func (c *Client) send(ctx context.Context, method, path string, body any, fresh bool, most int64) (status int, text []byte, err error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if fresh {
		req.Header.Set("Session-Consistency", "fresh")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	text, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	if int64(len(text)) > most {
		err = fmt.Errorf("the answer has more than %d bytes", most)
	}
	return res.StatusCode, text, errors.Join(err, res.Body.Close())
}

// unreached returns why no answer came, without the URL that net/http puts in front, and whether no
// connection came about.
func (c *Client) unreached(err error) (why error, unsent bool) {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return fmt.Errorf("cannot reach a sidecar at %s: %w; --url says where its API listens", c.name, err), true
	}
	return fmt.Errorf("no answer from %s: %w", c.name, err), false
}

// unlike says that what answered is no cloakroom.
func (c *Client) unlike() error {
	return fmt.Errorf("%s did not answer as cloakroom does; --url says where it listens", c.name)
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
	case status == http.StatusTooManyRequests && strings.HasPrefix(answer.Message, "search too costly"):
		return errors.New(said)
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
