// Package index answers which sessions match a search. It keeps the entries of
// every session in Redis sorted sets (Entries), plans a Query over them,
// pages with exact totals, and sweeps away what has expired. It reads
// documents only through the Resolve function that its caller gives it, and
// knows nothing of caches or HTTP.
//
// Operating range: millions of sessions per shard, pages of up to some
// thousand, searches that examine up to Config.MaxCandidates sessions.
package index
