package torture

import "time"

const soakNear = 16 << 20

type soaking struct {
	Ops, Creates, Sets, Deletes, Expired int64
	Took                                 time.Duration
	Half, End                            footprint
}

type footprint struct {
	Goroutines, FDs, Resident, Heap, Near float64
	Live                                  int64
}
