package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// door lets in over HTTP whoever knows the token.
type door struct {
	open  bool
	token [sha256.Size]byte
}

func newDoor(token string) *door {
	return &door{open: token == "", token: sha256.Sum256([]byte(token))}
}

// opensTo takes the token as that of a bearer, as Prometheus sends it, or as a password, for which browsers ask.
func (d *door) opensTo(req *http.Request) bool {
	if d.open {
		return true
	}
	given, is := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !is {
		_, given, _ = req.BasicAuth()
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], d.token[:]) == 1
}

// only lets nobody else reach next.
func (d *door) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !d.opensTo(req) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Nexus; any user, with the token of -metricsToken as password", charset="UTF-8"`)
			answer(w, http.StatusUnauthorized, "this node asks for its -metricsToken, as a bearer token or as the password of any user")
			return
		}
		next.ServeHTTP(w, req)
	})
}
