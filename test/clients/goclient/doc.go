// Package goclient is a client of the session service, as oapi-codegen generates it from the OpenAPI document. A test runs it
// against the program; nothing else needs it.
package goclient
