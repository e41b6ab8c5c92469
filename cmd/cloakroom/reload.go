package main

import (
	"context"
	"fmt"
	"strings"
)

// startReloads follows the files with API keys, issuers and certificates. They
// are also read whenever SIGHUP comes.
func (s *sidecar) startReloads() {
	all := s.c.reloaders()
	for _, r := range all {
		r.logTo(s.log)
		r.register(s.metrics)
	}
	s.parts.start("reload of the files", func(ctx context.Context) error {
		return again(ctx, s.p.lookEvery, func(context.Context) {
			for _, r := range all {
				r.look(false)
			}
		})
	})
	s.parts.start("reload at SIGHUP", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-s.p.hangup:
			}
			if len(all) == 0 {
				s.log.Warn("SIGHUP: there is nothing to reload: no --auth-keys-file, no --auth-issuers-file, no --http-tls-cert-file and no --verify-tls-cert-file")
			}
			for _, r := range all {
				r.look(true)
			}
		}
	})
}

// filesState says for /readyz?verbose how the files are.
func (c *config) filesState() string {
	var faults []string
	for _, r := range c.reloaders() {
		if fault := r.state(); fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) == 0 {
		return "in use as they are"
	}
	return strings.Join(faults, "; ")
}

// load reads the configuration of the subcommand, with settings that only this one has.
func (p *program) load(ctx context.Context, own ...setting) (*config, error) {
	return load(ctx, source{p.name, p.args, p.env, p.pipes(ctx)}, own...)
}

// pipes lets the files of a subcommand be pipes, and says that it waits for one.
func (p *program) pipes(ctx context.Context) pipes {
	return anything(ctx, func(file string) {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom %s: waiting for what is written to %s, which is no regular file\n", p.name, file)
	})
}
