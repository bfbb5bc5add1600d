package wire

import (
	"slices"
	"testing"
)

func TestBinaryRow(t *testing.T) {
	types := []byte{3, 253, 8, 253, 1, 2, 252, 246, 3}
	// The second bit of the second byte is that of the eighth column.
	row := []byte{0, 0b0010_0000, 0b0000_0010, 7, 0, 0, 0, 2, 'a', 'b', 1, 1, 0, 0, 0, 0, 0, 0, 9, 4, 1, 0, 255, 255, 255, 255}
	got, ok := BinaryRow(row, types)
	if want := []string{"7", "ab", "257", "", "9", "260", "", "", "4294967295"}; !ok || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, ok, want)
	}
	for n := range row {
		if got, ok := BinaryRow(row[:n], types); ok {
			t.Errorf("%d bytes of it: got %q", n, got)
		}
	}
	for _, other := range []byte{5, 7, 12} { // DOUBLE, TIMESTAMP, DATETIME
		if got, ok := BinaryRow([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{other}); ok {
			t.Errorf("type %d: got %q", other, got)
		}
	}
}
