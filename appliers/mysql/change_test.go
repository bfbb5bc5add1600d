package mysql

import (
	"errors"
	"reflect"
	"testing"
)

func TestParseOK(t *testing.T) {
	for _, tc := range []struct {
		packet string
		want   changed
	}{
		{"\x00\x00\x00\x02\x00\x00\x00", changed{}},
		{"\x00\x03\x00\x02\x00\x01\x00Records: 3", changed{affected: 3, warnings: 1, info: "Records: 3"}},
		{"\x00\x03\x00\x02\x00\x01\x00\x0aRecords: 3", changed{affected: 3, warnings: 1, info: "Records: 3"}},
		{"\x00\xfc\x00\x01\xfc\x00\x01\x02\x00\x02\x01", changed{affected: 256, warnings: 258}},
	} {
		got, err := parseOK([]byte(tc.packet))
		if err != nil || !reflect.DeepEqual(*got, tc.want) {
			t.Errorf("%q: %+v, %v, want %+v", tc.packet, got, err, tc.want)
		}
	}
	for _, short := range []string{"\x00", "\x00\x03", "\x00\x03\x00\x02\x00", "\x00\xfc", "\x00\xff\x00\x02\x00\x00\x00"} {
		if got, err := parseOK([]byte(short)); err == nil {
			t.Errorf("%q: %+v", short, got)
		}
	}
}

func TestParseError(t *testing.T) {
	var server *ServerError
	if err := parseError([]byte("\xff\x7a\x04#42S02no table")); !errors.As(err, &server) || *server != (ServerError{1146, "42S02", "no table"}) {
		t.Error(err)
	}
	if err := parseError([]byte("\xff\x7a\x04")); !errors.Is(err, errAnswerShort) {
		t.Error(err)
	}
}

func TestAnswerRoundTrip(t *testing.T) {
	check := [4]string{"t", "analyze", "status", "OK"}
	for _, a := range []Answer{
		{}, {Affected: 7, Info: "Records: 7  Duplicates: 0  Warnings: 0"}, {Checks: [][4]string{check}}, {Checks: [][4]string{check, check}, Info: "x"},
		{Warnings: []Warning{{"Note", 1051, "nosuch"}}, Info: "y"},
	} {
		if got, err := DecodeAnswer(done(a)); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%+v, %v, want %+v", got, err, a)
		}
	}
}

func TestOwnGrants(t *testing.T) {
	for row, want := range map[string]bool{
		"GRANT INSERT ON `nexus`.`applied` TO PUBLIC": true, "GRANT LOCK TABLES ON `nexus`.* TO PUBLIC": true, `GRANT SELECT ON "nexus"."address" TO PUBLIC`: true,
		"GRANT SELECT, INSERT ON `nexus`.`applied` TO PUBLIC": false, "GRANT LOCK TABLES ON `nexus`.* TO `a`@`%`": false, "GRANT SELECT ON `nexus`.* TO PUBLIC": false,
	} {
		if got := IsOwnGrant(row); got != want {
			t.Errorf("%s: %t", row, got)
		}
	}
}
