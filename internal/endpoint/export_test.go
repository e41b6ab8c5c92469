package endpoint

// Saw has f told of what happens. It must be called before Run.
func (e *Endpoint) Saw(f func(event string)) { e.saw = f }
