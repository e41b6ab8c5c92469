package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"time"
)

// sessions prints sessions for the import API, a line each: five for every
// user, on two devices, made by ten creators, the last an hour ago. Session i
// is 18826 and i in 14 digits, its user 2184808 and i modulo the number of
// users in 11.
func sessions(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sessions", flag.ContinueOnError)
	count := flags.Int("count", 100_000, "how many sessions; a fifth as many users")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if *count < 5 {
		return fmt.Errorf("sessions: --count must be at least 5, not %d", *count)
	}
	w := bufio.NewWriterSize(stdout, 1<<16)
	newest := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	users := *count / 5
	for i := range *count {
		if i%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		user := i % users
		created := newest.Add(-time.Duration(*count-i) * 10 * time.Millisecond)
		at := func(after time.Duration) string { return created.Add(after).Format("2006-01-02T15:04:05.000000Z") }
		device := fnv.New128a()
		_, _ = fmt.Fprintf(device, "%d %d", user, i/users%2)
		if _, err := fmt.Fprintf(w, `{"id":"18826%014d","creationDate":"%s","changeDate":"%s","sequence":"4",`+
			`"factors":{"user":{"verifiedAt":"%s","id":"2184808%011d","loginName":"user%d@nordwind.example","displayName":"User Number %d","organizationId":"281739955209961483"},`+
			`"password":{"verifiedAt":"%s"},"totp":{"verifiedAt":"%s"}},"metadata":{"client":"d2ViLXBvcnRhbA==","tenant":"bm9yZHdpbmQ="},`+
			`"userAgent":{"fingerprintId":"%s","ip":"203.0.113.%d","description":"Chrome 132, Windows","header":{"accept-language":{"values":["sv-SE,sv;q=0.9,en;q=0.8"]},`+
			`"user-agent":{"values":["Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"]}}},"expirationDate":"%s","creator":"69629026806489%03d"}`+"\n",
			i, at(0), at(20*time.Second), at(0), user, user, user, at(9*time.Second), at(20*time.Second),
			hex.EncodeToString(device.Sum(nil)), user%250, at(30*24*time.Hour), i%10); err != nil {
			return err
		}
	}
	return w.Flush()
}
