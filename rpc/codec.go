package rpc

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// message is a request or an answer as it goes over the wire, in either encoding.
type message struct {
	data []byte
	json bool
}

// codec hands messages on as they are; its text is the name of their encoding.
type codec string

// Name implements connect.Codec.
func (c codec) Name() string { return string(c) }

// Unmarshal implements connect.Codec. data is used again.
func (c codec) Unmarshal(data []byte, into any) error {
	m, ok := into.(*message)
	if !ok {
		return fmt.Errorf("rpc: %T is not a message", into)
	}
	m.data, m.json = bytes.Clone(data), c != "proto"
	return nil
}

// Marshal implements connect.Codec. An error's details are a message of protobuf's own.
func (codec) Marshal(from any) ([]byte, error) {
	switch m := from.(type) {
	case *message:
		return m.data, nil
	case proto.Message:
		return proto.Marshal(m)
	}
	return nil, fmt.Errorf("rpc: %T is not a message", from)
}
