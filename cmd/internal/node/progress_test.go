package node

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowReader takes half a second for each byte.
type slowReader struct{ io.ReadSeeker }

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return s.ReadSeeker.Read(p[:1])
}

func TestProgressIsToldEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		p := &progress{r: slowReader{strings.NewReader("12345")}, size: 5, told: time.Now(), tell: func(done, size int64) {
			told = append(told, fmt.Sprint(done, "/", size))
		}}
		if text, err := io.ReadAll(p); string(text) != "12345" || err != nil {
			t.Errorf("read %q, %v", text, err)
		}
		if at, err := p.Seek(0, io.SeekStart); at != 0 || err != nil || p.done != 0 {
			t.Errorf("at %d, %d done, %v", at, p.done, err)
		}
		if want := []string{"2/5", "4/5", "5/5"}; !slices.Equal(told, want) { // the last is the end of the file
			t.Errorf("told %v, want %v", told, want)
		}
	})
}
