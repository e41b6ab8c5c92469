package console

import (
	"fmt"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
)

// revoke answers POST revocations: a dry run with its count, what the API refuses as the API does, else with the ID of a
// job that goes on when the page is closed. The page may choose the ID by the header X-Revocation: then it can find out
// whether the job has begun when the answer was lost.
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
		return c.count(r, body)
	}
	name, err := nameOfNew(r)
	if err != nil {
		return err
	}
	if !c.jobs.ask(name) {
		return errBegun
	}
	var j *job // nil until it begins
	began, refused := make(chan string, 1), make(chan *httpapi.ConsoleAnswer, 1)
	calls, asked := r.on.calls, r.asks(body)
	asked.Began = func() {
		j = c.jobs.begin(name)
		began <- j.id
	}
	asked.Progress = func(revoked uint64) { j.revoked.Store(revoked) }
	r.on.under.Go(func() {
		answer := calls.Revoke(asked)
		if j == nil {
			c.jobs.refused(name)
			refused <- answer
			return
		}
		c.jobs.end(j, answer.Status, answer.Body)
	})
	select {
	case id := <-began:
		return writeJSON(r.http, fasthttp.StatusAccepted, struct {
			ID string `json:"id"`
		}{id})
	case answer := <-refused:
		r.relay(answer)
		return nil
	}
}

// nameOfNew returns the name that a revocation is to have.
func nameOfNew(r *request) (jobName, error) {
	name := jobName{r.who.key, string(r.http.Request.Header.Peek("X-Revocation"))}
	if name.id == "" {
		name.id = newID()
	}
	if !isID(name.id) {
		return name, &refusal.Error{Code: refusal.Invalid, Text: fmt.Sprintf("the header X-Revocation must have %d hexadecimal digits, in lower case", 2*idBytes)}
	}
	return name, nil
}

// revocation answers GET revocations/{id}.
func (c *Console) revocation(r *request, id string) error {
	j, found := c.jobs.find(jobName{r.who.key, id})
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

var (
	errBegun        = &refusal.Error{Code: refusal.Exists, Text: "the revocation with this ID has begun already, or is about to"}
	errNoRevocation = &refusal.Error{Code: refusal.NotFound, Text: "there is no such revocation: it has not begun, has ended more than an hour ago, was begun with another API key, or before the sidecar was started again"}
)
