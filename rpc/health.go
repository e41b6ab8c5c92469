package rpc

import (
	"context"
	"sync"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
)

// health answers grpc.health.v1: all services serve, or none does.
type health struct {
	services map[string]bool
	ready    func(context.Context) error
}

// readyFor is how long the answer to a question for readiness is good: anybody may ask, and
// each question goes to Redis.
const readyFor = 100 * time.Millisecond

// recently answers as ready did, if that was asked just now.
func recently(ready func(context.Context) error) func(context.Context) error {
	var mu sync.Mutex
	var asked time.Time
	var last error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(asked) >= readyFor {
			last = ready(ctx)
			asked = time.Now()
		}
		return last
	}
}

// Check implements grpchealth.Checker.
func (h *health) Check(ctx context.Context, r *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if r.Service != "" && !h.services[r.Service] {
		return nil, connect.NewError(connect.CodeNotFound, errNoService)
	}
	if h.ready(ctx) != nil {
		return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}
