package packed

// kind says what a member of a document holds.
type kind uint8

const (
	object   kind = iota // members up to its end
	end                  // of an object
	id                   // a string, the first of all members
	creation             // a timestamp, the second of all members
	date                 // a timestamp
	lastDate             // a timestamp, told by its distance from the creation date
	sequence             // digits
	text                 // a string
	boolean              // true or false
	metadata             // an object of base64 strings
	header               // an object of {"values":[…]} objects of strings
)

// member is a step of the walk through a document: a member of an object, or
// the end of one.
type member struct {
	kind kind
	name string // `,"name":`; the comma is missing before an object's first member
	bit  uint32 // says that the member is there; 0: it always is
	note noted  // which of the Notes it is
}

const (
	bitOwnID = 1 << 31 // the ID is made of the creation date, as session.NewID does
	bitTrue  = 1 << 30 // the boolean is true
	bitsUsed = bitOwnID | bitTrue | 1<<28 - 1
)

// members are the steps of the walk through a session document, in the order
// of session.AppendJSON. Their bits are stored: they never change.
var members = [...]member{
	{id, `,"id":`, 1 << 0, notedID},
	{creation, `,"creationDate":`, 0, 0},
	{date, `,"changeDate":`, 0, 0},
	{sequence, `,"sequence":`, 0, 0},
	{object, `,"factors":{`, 1 << 1, 0},
	{object, `,"user":{`, 0, 0},
	{date, `,"verifiedAt":`, 1 << 2, 0},
	{text, `,"id":`, 1 << 3, notedUser},
	{text, `,"loginName":`, 1 << 4, 0},
	{text, `,"displayName":`, 1 << 5, 0},
	{text, `,"organizationId":`, 1 << 6, notedOrg},
	{kind: end},
	{object, `,"password":{`, 1 << 7, 0},
	{date, `,"verifiedAt":`, 1 << 8, 0},
	{kind: end},
	{object, `,"webAuthN":{`, 1 << 9, 0},
	{date, `,"verifiedAt":`, 1 << 10, 0},
	{boolean, `,"userVerified":`, 0, 0},
	{kind: end},
	{object, `,"intent":{`, 1 << 11, 0},
	{date, `,"verifiedAt":`, 1 << 12, 0},
	{kind: end},
	{object, `,"totp":{`, 1 << 13, 0},
	{date, `,"verifiedAt":`, 1 << 14, 0},
	{kind: end},
	{object, `,"otpSms":{`, 1 << 15, 0},
	{date, `,"verifiedAt":`, 1 << 16, 0},
	{kind: end},
	{object, `,"otpEmail":{`, 1 << 17, 0},
	{date, `,"verifiedAt":`, 1 << 18, 0},
	{kind: end},
	{object, `,"recoveryCode":{`, 1 << 19, 0},
	{date, `,"verifiedAt":`, 1 << 20, 0},
	{kind: end},
	{kind: end},
	{metadata, `,"metadata":{`, 1 << 21, 0},
	{object, `,"userAgent":{`, 1 << 22, 0},
	{text, `,"fingerprintId":`, 1 << 23, notedAgent},
	{text, `,"ip":`, 1 << 24, 0},
	{text, `,"description":`, 1 << 25, 0},
	{header, `,"header":{`, 1 << 26, 0},
	{kind: end},
	{lastDate, `,"expirationDate":`, 1 << 27, 0},
}

// after says for each object the step behind its end, and for other members the next one.
var after = func() (after [len(members)]int) {
	var open []int
	for i, m := range members {
		after[i] = i + 1
		switch m.kind {
		case object:
			open = append(open, i)
		case end:
			after[open[len(open)-1]] = i + 1
			open = open[:len(open)-1]
		}
	}
	return after
}()

// epoch is what the creation date is counted from: 2026, in microseconds since 1970.
const epoch = 1_767_225_600_000_000

// What a string is in the text, if it is not there as it is. A document has no
// bytes below a space, so none of these is part of a string. They are stored:
// they never change.
const (
	markEnd    = 0 // ends a string
	markNumber = 1 // a number: eight bytes
	markHex    = 2 // hexadecimal digits: how many bytes, and these
	markIPv4   = 3 // an address: four bytes
	markOther  = 4 // ends a name whose value is not of the usual form
	markUUID   = 5 // a UUID: sixteen bytes
)
