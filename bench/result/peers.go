package result

const (
	// Cloakroom begins the names of the peers that are Cloakroom itself.
	Cloakroom = "cloakroom"
	// CloakroomNear is the one with a near cache.
	CloakroomNear = Cloakroom + "-near"
	// StoreBytes is the figure that says how much a program's store takes for each session.
	StoreBytes = "store_bytes_per_session"
)
