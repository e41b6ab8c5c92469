package index

import "time"

// Explanation is how a search was answered, or refused: what it did, in addition to its
// Plan. Search fills it in for a query that has one; its zero value has nothing yet. It
// names no value of the query. One goroutine may use it at a time.
type Explanation struct {
	// Plan is the plan, as Plan.String prints it, as far as it was made: counts that
	// nothing asked for are not in it.
	Plan string
	// Predicate is the JSON name of the predicate that led to the candidates, "" if
	// none did; Lists are those that they were taken from, named as in PlanStats.
	Predicate, Lists string
	// Steps are what was done, in order. The last one answered, or refused.
	Steps []Step
	// Candidates is how many the driver counted, and Examined of how many of them the
	// document was looked at. Limit is Config.MaxCandidates.
	Candidates, Examined int64
	Limit                int
	// Copies, Redis and Replicas say where documents came from: copies in this process,
	// Redis' masters, to this or to another caller that was reading the same, or replicas.
	// One that was read twice counts twice.
	Copies, Redis, Replicas int
	// Costly says that it ran as a costly search, and Waited how long it waited for its
	// turn.
	Costly bool
	Waited time.Duration
}

// Step is a part of a search.
type Step string

// The steps.
const (
	// StepKeptPage is a page that the same search had before. Only callers of Search keep any.
	StepKeptPage Step = "kept_page"
	// StepHeldList is the list of the user that Config.Users has.
	StepHeldList Step = "held_list"
	// StepShortList is the first chunk of each list.
	StepShortList Step = "short_list"
	// StepGuessed says that the documents that were read with the list were those that it took.
	StepGuessed Step = "guessed"
	// StepGivenIDs are the IDs of the query.
	StepGivenIDs Step = "given_ids"
	// StepCounted is the counting of every driver's candidates.
	StepCounted Step = "counted"
	// StepRanked takes total and page from counts and ranks.
	StepRanked Step = "ranked"
	// StepExamined reads the documents of all candidates.
	StepExamined Step = "examined"
	// StepRefused is the refusal: there are too many candidates.
	StepRefused Step = "refused"
	// StepNothing says that nothing can match.
	StepNothing Step = "nothing"
	// StepAnew says that copies did not hold until the answer was complete, and that the
	// search began once more, without them. Only callers of Search know.
	StepAnew Step = "anew"
)

// Did adds a step. It does nothing on nil, like the methods below.
func (e *Explanation) Did(s Step) {
	if e != nil {
		e.Steps = append(e.Steps, s)
	}
}

// Read adds documents, by where they came from.
func (e *Explanation) Read(copies, redis, replicas int) {
	if e != nil {
		e.Copies, e.Redis, e.Replicas = e.Copies+copies, e.Redis+redis, e.Replicas+replicas
	}
}

func (e *Explanation) examined(n int) {
	if e != nil {
		e.Examined += int64(n)
	}
}

// ranked adds what lists counted.
func (e *Explanation) ranked(shards []*shardList) {
	if e != nil {
		for _, p := range shards {
			e.Candidates += p.count
		}
	}
}

// begin forgets the counts of an earlier run of the same search.
func (e *Explanation) begin() {
	if e != nil {
		e.Candidates, e.Examined = 0, 0
	}
}

// end fills in what is known when the search has ended.
func (e *Explanation) end(p *Plan, w *work, err error) {
	if e == nil {
		return
	}
	e.planned(p, w.source)
	switch {
	case p.driver == nil:
		e.Candidates = int64(w.candidates)
	case p.way != rank: // which has counted while it ran
		e.Candidates = p.driver.count
	}
	if outcomeOf(err) == tooCostly {
		e.Did(StepRefused)
	}
}

func (e *Explanation) planned(p *Plan, s source) {
	e.Plan, e.Limit, e.Lists = p.String(), p.most, sourceNames[s]
	e.Predicate = [sources]Kind{
		sourceCopy: KindUser, sourceIDs: KindIDs, sourceUser: KindUser, sourceAgent: KindAgent,
		sourceCreator: KindCreator, sourceCreation: KindCreation, sourceExpiration: KindExpiration,
	}[s].String()
}

// ExplainKept explains a search that was answered by a page that the same search had
// before, and that was chosen from so many candidates.
func (ix *Index) ExplainKept(q *Query, page *Page, candidates int) *Explanation {
	p, e := ix.plan(q, page.At), &Explanation{Steps: []Step{StepKeptPage}, Candidates: int64(candidates), Copies: len(page.Sessions)}
	e.planned(&p, sourceCopy)
	return e
}
