package transfer

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/leaks"
)

func TestMain(m *testing.M) {
	leaks.Verify(m)
}
