package certificate

import (
	"crypto/x509"
	"fmt"
	"os"
)

// CheckAuthority refuses a file from which no certificate of an authority can be read: what is in it would be trusted, and
// that is nobody.
func CheckAuthority(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the certificate of the authority: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(data) {
		return fmt.Errorf("%s holds no certificate of an authority in PEM", file)
	}
	return nil
}
