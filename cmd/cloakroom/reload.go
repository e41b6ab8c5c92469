package main

import (
	"context"
	"log/slog"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/prometheus/client_golang/prometheus"
)

// reloader is a reloaded of any type.
type reloader interface {
	look(atOnce bool)
	state() string
	register(to prometheus.Registerer)
	logTo(log *slog.Logger)
}

func (r *reloaded[T]) logTo(log *slog.Logger) {
	r.log = log
	r.logUnfollowed()
}

// logUnfollowed tells of what was read at the start only.
func (r *reloaded[T]) logUnfollowed() {
	for path := range r.once {
		r.log.Info("no regular file: it was read once, and is not followed", "setting", r.setting, "file", path)
	}
}

// follows says whether a file may have changed.
func (r *reloaded[T]) follows(path string) bool {
	_, once := r.once[path]
	return !once
}

// reloaders are those of all settings that have files.
func (c *config) reloaders() (all []reloader) {
	for _, cert := range c.certificates() {
		all = append(all, cert)
	}
	if c.apiKeys != nil {
		all = append(all, c.apiKeys)
	}
	if c.issuers != nil {
		all = append(all, c.issuers)
	}
	return all
}

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

// openKeys reads a file with API keys.
func openKeys(path string, pipes pipes) (*reloaded[*caller.APIKeys], error) {
	r := &reloaded[*caller.APIKeys]{
		setting: "auth-keys-file",
		parse: func(read func(string) ([]byte, error)) (*caller.APIKeys, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			return parseKeys(path, text)
		},
		done: "API keys reloaded", kept: "the API keys were not reloaded, the old ones stay",
		says: func(k *caller.APIKeys) []any { return []any{"keys", k.Len()} },
	}
	return r, r.open(pipes)
}
