package upstream

import (
	"context"
	"sync/atomic"
)

// places are for calls that are under way. Who finds none waits, first come, first served, unless
// too many wait already.
//
// Calls that are handed on for others may take only a part of the places, and of the queue: anybody with a made-up Authorization
// can make these, and what we ask ourselves, of sessions to verify and of events, must not wait until they end.
type places struct {
	taken, others          chan struct{} // others has those of taken that are others', or soon will be
	waiting, othersWaiting atomic.Int64
	most, mostOthers       int64 // that wait
}

func (p *places) init(calls, waiting int) {
	p.taken, p.others = make(chan struct{}, calls), make(chan struct{}, othersShare(calls))
	p.most, p.mostOthers = int64(waiting), int64(othersShare(waiting))
}

// othersShare is how many of n others may have: three quarters, or the only one, which is shared.
func othersShare(n int) int { return max(n*3/4, min(n, 1)) }

// take takes a place, which the caller must give back with the same ours. Its error is ErrBusy, or that of ctx.
func (p *places) take(ctx context.Context, ours bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.takeFree(ours) {
		return nil
	}
	if !ours {
		// Before they count in waiting: those who are refused must take no turn from us.
		defer p.othersWaiting.Add(-1)
		if p.othersWaiting.Add(1) > p.mostOthers {
			return ErrBusy
		}
	}
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > p.most {
		return ErrBusy
	}
	if !ours {
		select {
		case p.others <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case p.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		if !ours {
			<-p.others
		}
		return ctx.Err()
	}
}

// takeFree takes a place if there is one now.
func (p *places) takeFree(ours bool) bool {
	if !ours {
		select {
		case p.others <- struct{}{}:
		default:
			return false
		}
	}
	select {
	case p.taken <- struct{}{}:
		return true
	default:
	}
	if !ours {
		<-p.others
	}
	return false
}

func (p *places) giveBack(ours bool) {
	<-p.taken
	if !ours {
		<-p.others
	}
}
