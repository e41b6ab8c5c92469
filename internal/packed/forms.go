package packed

// uuidLen is the length of a UUID's text.
const uuidLen = 36

// isUUID says whether s has the form of a UUID, in lower case.
func isUUID(s string) bool {
	return len(s) == uuidLen && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		IsHex(s[:8]) && IsHex(s[9:13]) && IsHex(s[14:18]) && IsHex(s[19:23]) && IsHex(s[24:])
}

func appendUUID(b []byte, s string) []byte {
	for _, part := range [...]string{s[:8], s[9:13], s[14:18], s[19:23], s[24:]} {
		b = AppendHex(b, part)
	}
	return b
}

// appendUUIDText writes the UUID that raw's 16 bytes are.
func appendUUIDText[T string | []byte](dst []byte, raw T) []byte {
	dst = append(appendDigits(dst, raw[:4]), '-')
	dst = append(appendDigits(dst, raw[4:6]), '-')
	dst = append(appendDigits(dst, raw[6:8]), '-')
	dst = append(appendDigits(dst, raw[8:10]), '-')
	return appendDigits(dst, raw[10:16])
}

// ipv4 reads an address in its usual form.
func ipv4(raw []byte) (address [4]byte, ok bool) {
	if len(raw) < len("0.0.0.0") || len(raw) > len("255.255.255.255") {
		return address, false
	}
	part, digits, n := 0, 0, 0
	for i := 0; i <= len(raw); i++ {
		if i == len(raw) || raw[i] == '.' {
			if digits == 0 || n > 255 || part > 3 {
				return address, false
			}
			address[part] = byte(n)
			part, digits, n = part+1, 0, 0
			continue
		}
		d := raw[i] - '0'
		if d > 9 || digits == 3 || digits > 0 && n == 0 {
			return address, false
		}
		n, digits = n*10+int(d), digits+1
	}
	return address, part == 4
}
