package baseline

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// libraries are what can serve gRPC.
var libraries = []string{"connect", "grpc-go"}

// serveGRPC answers every call with a message of so many bytes, until ctx ends.
func serveGRPC(ctx context.Context, ln net.Listener, library string, size int) error {
	message := wrapperspb.String("")
	for n := size; ; n-- { // the length of the length
		if message.Value = strings.Repeat("x", max(n, 0)); n <= 0 || proto.Size(message) <= size {
			break
		}
	}
	if library == "grpc-go" {
		return serveGRPCGo(ctx, ln, message)
	}
	return serveConnect(ctx, ln, message)
}

func serveConnect(ctx context.Context, ln net.Listener, message proto.Message) error {
	answer := func(context.Context, *connect.Request[emptypb.Empty]) (*connect.Response[proto.Message], error) {
		return connect.NewResponse(&message), nil
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: connect.NewUnaryHandler("/", answer, connect.WithCodec(oneMessage{})), Protocols: protocols}
	serve := func() error {
		err := srv.Serve(ln)
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
	return cli.ServeUntil(ctx, serve, srv.Close)
}

// oneMessage reads and writes protobuf, and answers a *proto.Message.
type oneMessage struct{}

func (oneMessage) Name() string { return "proto" }

func (oneMessage) Unmarshal(data []byte, into any) error {
	return proto.Unmarshal(data, into.(proto.Message))
}

func (oneMessage) Marshal(from any) ([]byte, error) { return proto.Marshal(*from.(*proto.Message)) }

func serveGRPCGo(ctx context.Context, ln net.Listener, message proto.Message) error {
	answer := func(_ any, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		return stream.SendMsg(message)
	}
	srv := grpc.NewServer(grpc.UnknownServiceHandler(answer))
	return cli.ServeUntil(ctx, func() error { return srv.Serve(ln) }, func() error {
		srv.Stop()
		return nil
	})
}
