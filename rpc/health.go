package rpc

import (
	"context"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
)

// health answers grpc.health.v1: all services serve, or none does.
type health struct {
	services map[string]bool
	ready    func(context.Context) error
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
