package redis

import "testing"

func TestStreamMap(t *testing.T) {
	for in, want := range map[string]string{
		"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n": "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
		"*2\r\n*2\r\n$1\r\na\r\n*0\r\n*2\r\n$1\r\nb\r\n*0\r\n":                         "%2\r\n$1\r\na\r\n*0\r\n$1\r\nb\r\n*0\r\n",
		"_\r\n":               "_\r\n",
		"-NOGROUP x\r\n":      "-NOGROUP x\r\n",
		"*1\r\n$1\r\na\r\n":   "*1\r\n$1\r\na\r\n",
		"*1\r\n*2\r\n$1\r\na": "*1\r\n*2\r\n$1\r\na",
	} {
		if got := string(appendStreamMap(nil, []byte(in))); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
