//go:build !linux

package listen

import (
	"errors"
	"net"
	"os"
)

// bindReusePort is for Linux alone; package config refuses the setting elsewhere.
func bindReusePort(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func listenReusePort(*os.File) (net.Listener, error) { return nil, errors.ErrUnsupported }
