package request

import "github.com/cloakroom-dev/cloakroom/httpapi/refusal"

// The errors with an ID are ZITADEL's, word for word.
var (
	errCreatorQuery = &refusal.Error{Code: refusal.Invalid, ID: "GRPC-x8n24uh", Text: "List.Query.Invalid"}
	errAgentQuery   = &refusal.Error{Code: refusal.Invalid, ID: "GRPC-x8n23uh", Text: "List.Query.Invalid"}
)

// invalid is an error in the shape of ZITADEL's request validation.
func invalid(message, field, problem string) *refusal.Error {
	return &refusal.Error{Code: refusal.Invalid, Text: "invalid " + message + "." + field + ": " + problem}
}

// causedBy is a fault of an embedded message, in the words of ZITADEL's validation.
func causedBy(field string, causes ...string) error {
	text := "invalid " + field + ": embedded message failed validation"
	for _, cause := range causes {
		text += " | caused by: invalid " + cause
	}
	return &refusal.Error{Code: refusal.Invalid, Text: text}
}
