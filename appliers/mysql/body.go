package mysql

import (
	"fmt"
	"strings"
)

// WholeBody is the body of a program in utf8mb4, as an expression over a row of mysql.proc or mysql.event. What the server has put into body_utf8 means something else
// where a backslash stands in a text: it resolves escapes there, and writes no new ones. So that is taken only where there is none, or where nothing else can be had.
var WholeBody = "CASE WHEN character_set_client IN ('utf8mb4','utf8mb3','utf8') OR HEX(body) REGEXP '^([0-7].)*$' THEN CONVERT(body USING utf8mb4) WHEN LOCATE(0x5C, body)=0 THEN body_utf8" +
	bodiesOf("latin1 latin2 latin5 latin7 cp850 cp852 cp866 cp1250 cp1251 cp1256 cp1257 koi8r koi8u greek hebrew tis620 dec8 hp8 macce macroman keybcs2 geostd8 armscii8 ujis eucjpms euckr gb2312") +
	" ELSE body_utf8 END"

// bodiesOf are the cases of character sets in which a client may speak.
func bodiesOf(charsets string) string {
	var b strings.Builder
	for _, name := range strings.Fields(charsets) {
		fmt.Fprintf(&b, " WHEN character_set_client='%[1]s' THEN CONVERT(CONVERT(body USING %[1]s) USING utf8mb4)", name)
	}
	return b.String()
}
