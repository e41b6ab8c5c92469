package clients_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// inFrontOfZITADEL lets the client speak to Cloakroom in front of a ZITADEL, and to that ZITADEL, by gRPC and by Connect: both
// answer the same. Each has a user of its own, so that wrong passwords are counted apart.
func inFrontOfZITADEL(t *testing.T, bin string) {
	const password = "hunter2" // launch looks for it in the log
	z := zitadeltest.Start(t)
	through, direct := z.AddUser(zitadeltest.User{Password: password}), z.AddUser(zitadeltest.User{Password: password})
	c := &cloakroom{keys: map[string]string{"ZITADEL's login client": z.Login.Token}}
	c.launch(t, bin, "--redis-url", redistest.Start(t).URL(), "--upstream-url", z.URL, "--upstream-token-file", testfile.Write(t, z.Login.Token), "--verify-accept=id-token-pair")
	nodetest.Run(t, "in front of ZITADEL", []string{
		"CLOAKROOM_URL=" + c.url, "CLOAKROOM_GRPC_URL=" + c.grpc, "ZITADEL_URL=" + z.URL, "ZITADEL_TOKEN=" + z.Login.Token, "ZITADEL_PASSWORD=" + password,
		"USER_THROUGH=" + through, "USER_DIRECT=" + direct,
	}, "upstream.test.mjs")
	if z.Count(zitadeltest.CreateSession) == 0 {
		t.Error("ZITADEL was not asked")
	}
	if left := z.SessionIDs(); len(left) != 0 {
		t.Errorf("%d sessions are left", len(left))
	}
}
