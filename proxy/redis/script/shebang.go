package script

import "bytes"

// AllowsOOM reports whether a script says of itself that it may take memory beyond the limit: "#!lua flags=allow-oom".
func AllowsOOM(body []byte) bool {
	line, _, found := bytes.Cut(body, []byte("\n"))
	if !found || !bytes.HasPrefix(line, []byte("#!lua ")) {
		return false
	}
	for _, part := range bytes.Fields(line)[1:] {
		list, _ := bytes.CutPrefix(part, []byte("flags="))
		for flag := range bytes.SplitSeq(list, []byte(",")) {
			if string(flag) == "allow-oom" {
				return true
			}
		}
	}
	return false
}

// IsReadOnly reports whether a script says of itself that it does not write: "#!lua flags=no-writes". What is not read
// here as Redis reads it is taken for a script that writes, and its mistakes are found when it is compiled.
func IsReadOnly(body []byte) bool {
	if !bytes.HasPrefix(body, []byte("#!lua ")) {
		return false
	}
	line, _, found := bytes.Cut(body, []byte("\n"))
	if !found {
		return false
	}
	readOnly := false
	for _, part := range bytes.Fields(line)[1:] {
		list, ok := bytes.CutPrefix(part, []byte("flags="))
		if !ok {
			return false
		}
		for flag := range bytes.SplitSeq(list, []byte(",")) {
			switch string(flag) {
			case "no-writes":
				readOnly = true
			case "", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys":
			default:
				return false
			}
		}
	}
	return readOnly
}
