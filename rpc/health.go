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

// serves says whether a service serves, "" for all of them, and whether there is one.
func (h *health) serves(ctx context.Context, service string) (serves, known bool) {
	if service != "" && !h.services[service] {
		return false, false
	}
	return h.ready(ctx) == nil, true
}

// Check implements grpchealth.Checker.
func (h *health) Check(ctx context.Context, r *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	serves, known := h.serves(ctx, r.Service)
	if !known {
		return nil, connect.NewError(connect.CodeNotFound, errNoService)
	}
	answer := &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}
	if serves {
		answer.Status = grpchealth.StatusServing
	}
	return answer, nil
}
