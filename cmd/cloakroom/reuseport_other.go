//go:build !linux

package main

import (
	"context"
	"errors"
	"net"
)

// listenReusePort is for Linux alone; checkReusePort refuses the setting elsewhere.
func listenReusePort(context.Context, string) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

func tryReusePort(context.Context, string) error { return errors.ErrUnsupported }
