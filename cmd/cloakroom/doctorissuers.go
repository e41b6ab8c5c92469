package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// token reads the token that is to be explained: from standard input if at is -, else from the file at. It is "" if at
// is "". No error repeats at, which may be the token itself by mistake. (I6)
func (p *program) token(ctx context.Context, c *config.Config, at string) (string, error) {
	fault := func(text string) (string, error) { return "", &usage.Error{Faults: []string{"--token: " + text}} }
	if at == "" {
		return "", nil
	}
	if c.Issuers == nil && c.IssuersFault == nil {
		return fault("needs --auth-issuers-file")
	}
	text, err := p.tokenText(ctx, at)
	switch e, ok := errors.AsType[*fs.PathError](err); {
	case ctx.Err() != nil:
		return "", errors.New("interrupted")
	case ok:
		return fault("takes - for standard input, or the path of a file, which cannot be read: " + e.Err.Error() + "; a token as an argument could be seen by others")
	case err != nil:
		return fault("cannot be read")
	}
	token := strings.TrimSpace(string(text))
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	switch {
	case token == "":
		return fault("there is none")
	case len(token) > oidc.MaxTokenBytes:
		return fault("has more than 16 KiB")
	case strings.ContainsAny(token, " \t\r\n"):
		return fault("has spaces or several lines: give the token alone")
	}
	return token, nil
}

// tokenText reads what is to be a token, and not much more.
func (p *program) tokenText(ctx context.Context, at string) ([]byte, error) {
	if at != "-" {
		return followed.Read(at, p.pipes(ctx))
	}
	from := p.stdin
	if f, ok := from.(*os.File); ok {
		from = p.pipes(ctx)(f)
	}
	return io.ReadAll(io.LimitReader(from, oidc.MaxTokenBytes+1<<10))
}

// examineIssuers has the doctor look at the issuers, if there are any, and returns what is made of token, which may be
// "".
func examineIssuers(ctx context.Context, c *config.Config, token string, tell func(doctor.Finding)) (explained []doctor.Finding) {
	if c.IssuersFault != nil {
		tell(doctor.BadIssuers(c.IssuersFault))
	}
	if c.Issuers == nil {
		return nil
	}
	inspector := oidc.Inspect(c.Issuers.Value(), time.Now)
	defer inspector.Close()
	look := doctor.Issuers{Inspector: inspector, HTTPAddr: c.Listen.HTTP, JWTs: c.VerifiesJWTs()}
	switch kind := caller.OwnKind(token); {
	case token == "":
	case kind != "":
		explained = []doctor.Finding{doctor.OwnToken(kind)}
	default:
		look.Token = inspector.Explain(ctx, token)
		explained = doctor.ExplainToken(look.Token, look.JWTs)
	}
	doctor.ExamineIssuers(ctx, look, tell)
	return explained
}
