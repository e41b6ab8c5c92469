package console

import (
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
)

// revoke answers POST revocations: a dry run at once, else with the ID of a job that goes on when the page is closed.
func (c *Console) revoke(r *request, _ string) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	var dryRun bool
	err = protojson.Decode(body, func(d *protojson.Reader) error {
		return d.Object(func(name string) error {
			if name == "dryRun" {
				return d.Bool(&dryRun)
			}
			return d.Skip()
		})
	})
	if err != nil {
		return err
	}
	if dryRun {
		r.relay(r.on.calls.Revoke(r.asks(body)))
		return nil
	}
	j, err := c.jobs.begin(r.who.key)
	if err != nil {
		return err
	}
	calls, asked := r.on.calls, r.asks(body)
	asked.Progress = j.revoked.Store
	r.on.under.Go(func() {
		answer := calls.Revoke(asked)
		c.jobs.end(j, answer.Status, answer.Body)
	})
	return writeJSON(r.http, fasthttp.StatusAccepted, struct {
		ID string `json:"id"`
	}{j.id})
}

// revocation answers GET revocations/{id}.
func (c *Console) revocation(r *request, id string) error {
	j, found := c.jobs.find(r.who.key, id)
	if !found {
		return errNoRevocation
	}
	return writeJSON(r.http, fasthttp.StatusOK, j)
}

// revocations answers GET revocations: those of the key.
func (c *Console) revocations(r *request, _ string) error {
	return writeJSON(r.http, fasthttp.StatusOK, struct {
		Revocations []jobState `json:"revocations"`
	}{c.jobs.list(r.who.key)})
}

var errNoRevocation = &refusal.Error{Code: refusal.NotFound, Text: "there is no such revocation: it has ended more than an hour ago, or another API key has begun it"}
