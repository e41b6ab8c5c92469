package upstream

import (
	"fmt"
	"time"
)

// State is how ZITADEL does, by the calls of this client.
type State struct {
	// Away says that it did not answer, so that calls fail at once; Fault says why.
	Away  bool
	Fault string
	// Served is when the last call was sent that it has answered, zero if it has answered none.
	Served time.Time
	// Pause is for how long it has asked us to make no calls AsOurs; 0 if it has not.
	Pause time.Duration
	// Refused says why there is no access token of ours, "" if there is one or none has been needed.
	Refused string
}

// State returns how ZITADEL does. It asks nobody.
func (c *Client) State() State {
	s := State{Pause: c.pauses.left(true, time.Now()), Refused: c.service.fault()}
	if s.Away = c.circuit.away.Load(); s.Away {
		s.Fault = c.circuit.fault()
	}
	if at := c.circuit.served.Load(); at != 0 {
		s.Served = time.Unix(0, at)
	}
	return s
}

// Text says it to people, in one line.
func (s State) Text(now time.Time) string {
	ago := func() string {
		return fmt.Sprintf("its last answer is to a call %v ago", now.Sub(s.Served).Round(time.Second))
	}
	switch {
	case s.Away && s.Served.IsZero():
		return "away: " + s.Fault + "; it has not answered yet"
	case s.Away:
		return "away: " + s.Fault + "; " + ago()
	case s.Refused != "":
		return "our account is refused: " + s.Refused
	case s.Pause > 0:
		return fmt.Sprintf("asks for no calls of our account for %v", s.Pause.Round(time.Second))
	case s.Served.IsZero():
		return "has not been asked yet"
	}
	return "answers; " + ago()
}
