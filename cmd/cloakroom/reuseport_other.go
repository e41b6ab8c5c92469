//go:build !linux

package main

import (
	"errors"
	"net"
	"os"
)

// bindReusePort is for Linux alone; checkReusePort refuses the setting elsewhere.
func bindReusePort(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func listenReusePort(*os.File) (net.Listener, error) { return nil, errors.ErrUnsupported }
