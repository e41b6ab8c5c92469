package zitadeltest

import (
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/zitadel"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
)

// fault is an error that ZITADEL answers.
type fault struct {
	code connect.Code
	// id is of the place in ZITADEL's code; it ends the message, and is in the detail.
	id, text string
	// bare faults have no detail, and no ID.
	bare bool
	// attempts is how often a password was wrong in a row; above 0, the detail is a CredentialsCheckError.
	attempts int32
}

func (f *fault) Error() string {
	if f.bare {
		return f.text
	}
	return f.text + " (" + f.id + ")"
}

func newFault(code connect.Code, id, text string) *fault {
	return &fault{code: code, id: id, text: text}
}

func invalid(text string) *fault {
	return &fault{code: connect.CodeInvalidArgument, text: text, bare: true}
}

// The faults that more than one place answers, as recorded.
var (
	errNoAuth        = &fault{code: connect.CodeUnauthenticated, text: "auth header missing", bare: true}
	errAuthHeader    = newFault(connect.CodeUnauthenticated, "AUTH-toLo1", "invalid auth header")
	errToken         = newFault(connect.CodeUnauthenticated, "AUTH-7fs1e", "Errors.Token.Invalid")
	errNoMembership  = newFault(connect.CodeNotFound, "AUTHZ-cdgFk", "membership not found")
	errNoPermission  = newFault(connect.CodePermissionDenied, "AUTH-5mWD2", "No matching permissions found")
	errNoSession     = newFault(connect.CodeNotFound, "QUERY-SFeaa", "Session does not exist")
	errNoUser        = newFault(connect.CodeNotFound, "QUERY-Dfbg2", "User could not be found")
	errInternal      = newFault(connect.CodeInternal, "QUERY-Sfg42", "An internal error occurred")
	errSessionToken  = newFault(connect.CodePermissionDenied, "QUERY-dsfr3", "Permission denied")
	errNotInDouble   = &fault{code: connect.CodeUnimplemented, text: "the double of ZITADEL cannot do this", bare: true}
	errMethod        = &fault{code: connect.CodeUnimplemented, text: "Method Not Allowed", bare: true}
	errRoute         = &fault{code: connect.CodeNotFound, text: "Not Found", bare: true}
	credentialsError = credentialsCheckError()
)

// credentialsCheckError returns the type zitadel.v1.CredentialsCheckError, which Cloakroom does not know.
func credentialsCheckError() protoreflect.MessageType {
	const name = "zitadel.v1.CredentialsCheckError"
	if known, err := protoregistry.GlobalTypes.FindMessageByName(name); err == nil {
		return known
	}
	field := func(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: &name, Number: &number, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("zitadeltest/credentials.proto"), Package: proto.String("zitadel.v1"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{
			Name: proto.String("CredentialsCheckError"),
			Field: []*descriptorpb.FieldDescriptorProto{
				field("id", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("message", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("failed_attempts", 3, descriptorpb.FieldDescriptorProto_TYPE_INT32),
			},
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		panic(err)
	}
	made := dynamicpb.NewMessageType(file.Messages().Get(0))
	if err := protoregistry.GlobalTypes.RegisterMessage(made); err != nil {
		panic(err)
	}
	return made
}

// detail is the message that says the same as the text, for programs; nil if there is none.
func (f *fault) detail() proto.Message {
	switch {
	case f.bare:
		return nil
	case f.attempts > 0:
		m := credentialsError.New()
		fields := m.Descriptor().Fields()
		m.Set(fields.ByName("id"), protoreflect.ValueOfString(f.id))
		m.Set(fields.ByName("message"), protoreflect.ValueOfString(f.text))
		m.Set(fields.ByName("failed_attempts"), protoreflect.ValueOfInt32(f.attempts))
		return m.Interface()
	}
	return &zitadel.ErrorDetail{Id: f.id, Message: f.text}
}

// connect is the error for Connect and gRPC.
func (f *fault) connect() *connect.Error {
	err := connect.NewError(f.code, errors.New(f.Error()))
	if m := f.detail(); m != nil {
		detail, wrong := connect.NewErrorDetail(m)
		if wrong != nil {
			panic(wrong)
		}
		err.AddDetail(detail)
	}
	return err
}

// json is the body for REST: a google.rpc.Status.
func (f *fault) json() []byte {
	s := &status.Status{Code: int32(f.code), Message: f.Error()}
	if m := f.detail(); m != nil {
		packed, err := anypb.New(m)
		if err != nil {
			panic(err)
		}
		s.Details = []*anypb.Any{packed}
	}
	body, err := protojson.Marshal(s)
	if err != nil {
		panic(err)
	}
	return body
}

// status is the HTTP status for REST.
func (f *fault) status() int {
	switch f.code {
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeAlreadyExists, connect.CodeAborted:
		return http.StatusConflict
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnimplemented:
		return http.StatusNotImplemented
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// faultOf returns an error as a fault.
func faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	return &fault{code: connect.CodeInternal, text: err.Error(), bare: true}
}
