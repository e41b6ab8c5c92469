package main

import (
	"context"

	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/move"
)

// exportCommand is the subcommand.
func exportCommand(ctx context.Context, p *program) error { return move.Export(ctx, p.move()) }

// importCommand is the subcommand.
func importCommand(ctx context.Context, p *program) error { return move.Import(ctx, p.move()) }

// move is what both get.
func (p *program) move() *move.Program {
	return &move.Program{Load: p.load, Name: p.name, Env: p.env, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr}
}
