package upstream

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Read is what GetSession makes of an answer.
func Read(c *Client, a *Answer, id session.ID, as Authorization) (*Session, error) {
	return c.read(a, id, as)
}

// RenewNow lets the next call have our access token renewed.
func RenewNow(c *Client) {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	c.service.current.renewAt = time.Time{}
}

// Age makes our access token so old that a 401 can show that it has ended early.
func Age(c *Client) {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	c.service.current.got = time.Time{}
}
