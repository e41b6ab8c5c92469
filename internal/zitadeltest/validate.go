package zitadeltest

import (
	"fmt"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/zitadel"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// validate is what protoc-gen-validate makes of the rules in ZITADEL's protos, with its texts. v2beta has fewer rules.
func validate(request proto.Message, beta bool) error {
	var wrong string
	switch m := request.(type) {
	case *sessionv2.ListSessionsRequest:
		for i, query := range m.GetQueries() {
			if wrong = searchQuery(query); wrong != "" {
				wrong = within(fmt.Sprintf("ListSessionsRequest.Queries[%d]", i), wrong)
				break
			}
		}
	case *sessionv2.GetSessionRequest:
		if !beta {
			wrong = first(length("GetSessionRequest.SessionId", &m.SessionId, 1, 200), length("GetSessionRequest.SessionToken", m.SessionToken, 1, 500))
		}
	case *sessionv2.CreateSessionRequest:
		wrong = first(within("CreateSessionRequest.Checks", checks(m.GetChecks(), beta)),
			within("CreateSessionRequest.Challenges", challenges(m.GetChallenges())), positive("CreateSessionRequest.Lifetime", m.Lifetime))
	case *sessionv2.SetSessionRequest:
		wrong = length("SetSessionRequest.SessionId", &m.SessionId, 1, 200)
		if beta {
			wrong = first(wrong, length("SetSessionRequest.SessionToken", &m.SessionToken, 0, 500))
		}
		wrong = first(wrong, within("SetSessionRequest.Checks", checks(m.GetChecks(), beta)),
			within("SetSessionRequest.Challenges", challenges(m.GetChallenges())), positive("SetSessionRequest.Lifetime", m.Lifetime))
	case *sessionv2.DeleteSessionRequest:
		wrong = length("DeleteSessionRequest.SessionId", &m.SessionId, 1, 200)
	}
	if wrong != "" {
		return invalid("invalid " + wrong)
	}
	return nil
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// within says that what is wrong is in a field.
func within(field, wrong string) string {
	if wrong == "" {
		return ""
	}
	return field + ": embedded message failed validation | caused by: invalid " + wrong
}

// length looks at a text, if it is there.
func length(field string, text *string, low, high int) string {
	if text == nil {
		return ""
	}
	if n := utf8.RuneCountInString(*text); n >= low && n <= high {
		return ""
	}
	if low == high {
		return fmt.Sprintf("%s: value length must be %d runes", field, low)
	}
	return fmt.Sprintf("%s: value length must be between %d and %d runes, inclusive", field, low, high)
}

func atMost(field string, text *string, high int) string {
	if text == nil || utf8.RuneCountInString(*text) <= high {
		return ""
	}
	return fmt.Sprintf("%s: value length must be at most %d runes", field, high)
}

func positive(field string, d *durationpb.Duration) string {
	if d == nil || d.AsDuration() > 0 {
		return ""
	}
	return field + ": value must be greater than 0s"
}

func checks(c *sessionv2.Checks, beta bool) string {
	wrong := ""
	if user := c.GetUser(); user != nil {
		switch search := user.GetSearch().(type) {
		case *sessionv2.CheckUser_UserId:
			wrong = length("CheckUser.UserId", &search.UserId, 1, 200)
		case *sessionv2.CheckUser_LoginName:
			wrong = length("CheckUser.LoginName", &search.LoginName, 1, 200)
		default:
			if !beta {
				wrong = "CheckUser.Search: value is required"
			}
		}
	}
	wrong = within("Checks.User", wrong)
	if password := c.GetPassword(); password != nil {
		wrong = first(wrong, within("Checks.Password", length("CheckPassword.Password", &password.Password, 1, 200)))
	}
	if c.GetWebAuthN() != nil && c.GetWebAuthN().GetCredentialAssertionData() == nil {
		wrong = first(wrong, within("Checks.WebAuthN", "CheckWebAuthN.CredentialAssertionData: value is required"))
	}
	if totp := c.GetTotp(); totp != nil {
		wrong = first(wrong, within("Checks.Totp", length("CheckTOTP.Code", &totp.Code, 6, 6)))
	}
	return wrong
}

func challenges(c *sessionv2.RequestChallenges) string {
	webAuthN := c.GetWebAuthN()
	if webAuthN == nil {
		return ""
	}
	const field = "RequestChallenges_WebAuthN.UserVerificationRequirement"
	wrong := length("RequestChallenges_WebAuthN.Domain", &webAuthN.Domain, 1, 200)
	if asked := webAuthN.GetUserVerificationRequirement(); asked == 0 {
		wrong = first(wrong, field+": value must not be in list [USER_VERIFICATION_REQUIREMENT_UNSPECIFIED]")
	} else if sessionv2.UserVerificationRequirement_name[int32(asked)] == "" {
		wrong = first(wrong, field+": value must be one of the defined enum values")
	}
	return within("RequestChallenges.WebAuthN", wrong)
}

func searchQuery(query *sessionv2.SearchQuery) string {
	switch q := query.GetQuery().(type) {
	case nil:
		return "SearchQuery.Query: value is required"
	case *sessionv2.SearchQuery_CreationDateQuery:
		return within("SearchQuery.CreationDateQuery", dateMethod("CreationDateQuery.Method", q.CreationDateQuery.GetMethod()))
	case *sessionv2.SearchQuery_ExpirationDateQuery:
		return within("SearchQuery.ExpirationDateQuery", dateMethod("ExpirationDateQuery.Method", q.ExpirationDateQuery.GetMethod()))
	case *sessionv2.SearchQuery_CreatorQuery:
		return within("SearchQuery.CreatorQuery", atMost("CreatorQuery.Id", q.CreatorQuery.Id, 200))
	case *sessionv2.SearchQuery_UserAgentQuery:
		return within("SearchQuery.UserAgentQuery", atMost("UserAgentQuery.FingerprintId", q.UserAgentQuery.FingerprintId, 200))
	}
	return ""
}

func dateMethod(field string, method zitadel.TimestampQueryMethod) string {
	if _, known := zitadel.TimestampQueryMethod_name[int32(method)]; known {
		return ""
	}
	return field + ": value must be one of the defined enum values"
}
