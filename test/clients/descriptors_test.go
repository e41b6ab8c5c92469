package clients_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/zitadel"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// newer are what the package does not have yet, and ZITADEL's repository has.
var newer = []string{
	"zitadel.session.v2.SearchQuery.expiration_date_query",
	"zitadel.session.v2.ExpirationDateQuery",
	"zitadel.session.v2.Factors.recovery_code",
	"zitadel.session.v2.RecoveryCodeFactor",
	"zitadel.session.v2.Checks.recovery_code",
	"zitadel.session.v2.CheckRecoveryCode",
}

// Our descriptors are ZITADEL's: each message has the same fields, each enum the same
// values, each service the same calls.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	if !nodetest.Have(t, "node", "npm") {
		return
	}
	nodetest.Install(t)
	out, err := exec.CommandContext(t.Context(), "node", "descriptors.mjs").Output()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := base64.StdEncoding.DecodeString(string(out))
	if err != nil {
		t.Fatal(err)
	}
	var theirs descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(binary, &theirs); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range theirs.File {
		describe(want, f)
	}
	got, seen := map[string]string{}, map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] || !strings.HasPrefix(string(f.Package()), "zitadel") {
			return
		}
		seen[f.Path()] = true
		describe(got, protodesc.ToFileDescriptorProto(f))
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
	}
	add(sessionv2.File_zitadel_session_v2_session_service_proto)
	add(sessionv2beta.File_zitadel_session_v2beta_session_service_proto)
	add(zitadel.File_zitadel_message_proto)

	t.Logf("%d of ours, %d of theirs", len(got), len(want))
	if len(got) < 300 {
		t.Fatalf("only %d things are described", len(got))
	}
	for _, name := range newer {
		if _, has := got[name]; !has {
			t.Errorf("%s is on the list of what is newer, and ours does not have it", name)
		}
	}
	// What a part of ours has, all of it must be theirs, and the other way round.
	ours := func(name string) bool {
		for ; name != ""; name = name[:max(strings.LastIndexByte(name, '.'), 0)] {
			if got[name] == "message" || got[name] == "enum" || got[name] == "service" {
				return true
			}
		}
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		isNewer := slices.ContainsFunc(newer, func(n string) bool { return name == n || strings.HasPrefix(name, n+".") })
		switch theirs, has := want[name]; {
		case has && isNewer:
			t.Errorf("%s is in the package by now: take it off the list", name)
		case !has && !isNewer:
			t.Errorf("%s is not theirs: %s", name, got[name])
		case has && theirs != got[name]:
			t.Errorf("%s is %s, and theirs %s", name, got[name], theirs)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, has := got[name]; !has && ours(name) {
			t.Errorf("%s is missing: %s", name, want[name])
		}
	}
}

// describe writes what f has into all, by full names.
func describe(all map[string]string, f *descriptorpb.FileDescriptorProto) {
	var message func(prefix string, m *descriptorpb.DescriptorProto)
	enum := func(prefix string, e *descriptorpb.EnumDescriptorProto) {
		name := prefix + "." + e.GetName()
		all[name] = "enum"
		for _, v := range e.Value {
			all[name+"."+v.GetName()] = fmt.Sprint(v.GetNumber())
		}
	}
	message = func(prefix string, m *descriptorpb.DescriptorProto) {
		name := prefix + "." + m.GetName()
		all[name] = "message"
		for _, field := range m.Field {
			oneof := ""
			if field.OneofIndex != nil {
				oneof = m.OneofDecl[field.GetOneofIndex()].GetName()
			}
			all[name+"."+field.GetName()] = fmt.Sprintf("%d %v %v %s, JSON %s, oneof %q, optional %t",
				field.GetNumber(), field.GetLabel(), field.GetType(), field.GetTypeName(), jsonName(field), oneof, field.GetProto3Optional())
		}
		for _, nested := range m.NestedType {
			message(name, nested)
		}
		for _, e := range m.EnumType {
			enum(name, e)
		}
	}
	for _, m := range f.MessageType {
		message(f.GetPackage(), m)
	}
	for _, e := range f.EnumType {
		enum(f.GetPackage(), e)
	}
	for _, s := range f.Service {
		name := f.GetPackage() + "." + s.GetName()
		all[name] = "service"
		for _, call := range s.Method {
			all[name+"."+call.GetName()] = fmt.Sprintf("%s to %s, streams %t %t", call.GetInputType(), call.GetOutputType(), call.GetClientStreaming(), call.GetServerStreaming())
		}
	}
}

// jsonName is the field's, which a descriptor may leave out if it follows from the name.
func jsonName(f *descriptorpb.FieldDescriptorProto) string {
	if f.JsonName != nil {
		return f.GetJsonName()
	}
	parts := strings.Split(f.GetName(), "_")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}
