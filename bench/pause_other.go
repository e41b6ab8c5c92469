//go:build !linux

package main

import "time"

func pausing() (end func()) { return func() {} }

func pause(d time.Duration) { time.Sleep(d) }
