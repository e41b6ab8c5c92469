package rpc

import (
	"context"
	"fmt"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// A listener that serves Check alone is grpc-go's: it takes half of the time that net/http
// takes for a call by HTTP/2, and speaks nothing else, which Envoy does not need
// (docs/benchmarks.md has the figures).

// maxCheckBytes is the size of the largest CheckRequest there: headers, of which Envoy takes
// 60 KiB unless it is told otherwise, and no body.
const maxCheckBytes = 128 << 10

// runCheck serves ln until ctx ends, and then answers what is under way, for
// shutdownTimeout at most. Everything that it started has ended when it returns. (I7)
func (s *Server) runCheck(ctx context.Context, ln net.Listener, shutdownTimeout time.Duration) error {
	srv := grpc.NewServer(
		grpc.ForceServerCodecV2(checkCodec{}), grpc.MaxRecvMsgSize(min(maxCheckBytes, s.config.MaxBytes)), grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(uint32(min(s.config.MaxHeaderBytes, math.MaxInt32))), grpc.ConnectionTimeout(requestTimeout), grpc.InTapHandle(withinTime), grpc.WaitForHandlers(true), // I7
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: idleTimeout, Timeout: requestTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.NumStreamWorkers(uint32(8*runtime.GOMAXPROCS(0))), // which keep their stacks
	)
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: checkService, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Check", Handler: func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return s.checkByGRPC(ctx, read)
		}}},
	}, s)
	grpc_health_v1.RegisterHealthServer(srv, &checkHealth{health: &health{map[string]bool{checkService: true}, s.config.Ready}})
	return serveUntil(ctx, func() error { return srv.Serve(ln) }, grpc.ErrServerStopped, func() {
		drained := make(chan struct{})
		go func() {
			srv.GracefulStop()
			close(drained)
		}()
		late := time.NewTimer(shutdownTimeout)
		defer late.Stop()
		select {
		case <-drained:
		case <-late.C:
			srv.Stop()
			<-drained
		}
	})
}

// withinTime bounds how long a call may take, whatever it says itself.
func withinTime(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	_ = cancel // the library's own context, which this one ends with, ends with the call
	return ctx, nil
}

func (s *Server) checkByGRPC(ctx context.Context, read func(any) error) (_ any, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.logBug(checkService, fmt.Errorf("panic: %v: %s", panicked, debug.Stack()))
			err = status.Error(codes.Internal, errBug.Error())
		}
	}()
	request := new(message)
	if err := read(request); err != nil {
		return nil, err
	}
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Internal, errBug.Error())
	}
	answer, code, err := s.checked(ctx, p.Addr, p.LocalAddr, request.data)
	if err != nil {
		return nil, status.Error(code, err.Error())
	}
	return &message{data: answer}, nil
}

// checkCodec hands messages on as they are; those of other services are protobuf's own.
type checkCodec struct{}

// Name implements encoding.CodecV2.
func (checkCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (checkCodec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*message); ok {
		return mem.BufferSlice{mem.SliceBuffer(m.data)}, nil
	}
	return protoCodec().Marshal(v)
}

// Unmarshal implements encoding.CodecV2. The bytes are used again.
func (checkCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.data = data.Materialize()
		return nil
	}
	return protoCodec().Unmarshal(data, v)
}

func protoCodec() encoding.CodecV2 { return encoding.GetCodecV2("proto") }

// checkHealth is health for grpc-go.
type checkHealth struct {
	grpc_health_v1.UnimplementedHealthServer
	*health
}

// Check implements grpc_health_v1.HealthServer.
func (h *checkHealth) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	serves, known := h.serves(ctx, r.GetService())
	if !known {
		return nil, status.Error(codes.NotFound, errNoService.Error())
	}
	answer := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}
	if serves {
		answer.Status = grpc_health_v1.HealthCheckResponse_SERVING
	}
	return answer, nil
}
