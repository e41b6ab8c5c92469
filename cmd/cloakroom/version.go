package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// Set by the build with -ldflags "-X main.release=… -X main.commit=…"; what is
// left empty is read from the build information.
var release, commit string

const versionHelp = `Usage: cloakroom version

Prints the version, the commit, the version of Go and the platform.
`

func version(_ context.Context, p *program) error {
	if asksHelp(p.args) {
		_, err := io.WriteString(p.stdout, versionHelp)
		return err
	}
	if len(p.args) > 0 {
		return &usage.Error{Faults: []string{"takes no arguments"}}
	}
	v, c := build()
	_, err := fmt.Fprintf(p.stdout, "cloakroom %s\ncommit %s\n%s %s/%s\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// build returns the version and the commit of this binary, "unknown" where
// the build did not say.
func build() (v, c string) {
	v, c = release, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		if c == "" {
			c = revision(info.Settings)
		}
	}
	if v == "" {
		v = "unknown"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}

func revision(settings []debug.BuildSetting) string {
	var rev, dirty string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-modified"
		}
	}
	if rev == "" {
		return ""
	}
	return rev + dirty
}
