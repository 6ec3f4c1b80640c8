// Command tlsload measures full TLS 1.3 handshakes: every request has a connection of its own, and no session is resumed.
package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"time"

	"sluice.example/bench/meter"
)

type worker struct {
	request []byte
	config  *tls.Config
	state   tls.ConnectionState
}

func (w *worker) Step() error {
	raw, err := net.DialTimeout("tcp", *meter.Address, meter.Timeout)
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(meter.Timeout)); err != nil {
		return err
	}
	connection := tls.Client(raw, w.config)
	if err := connection.Handshake(); err != nil {
		return err
	}
	if _, err := connection.Write(w.request); err != nil {
		return err
	}
	answer, err := io.ReadAll(connection)
	// Some gateways close without a close_notify, which is no failure of the handshake.
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("unexpected answer %.60q", answer)
	}
	w.state = connection.ConnectionState()
	if w.state.DidResume {
		return errors.New("a session was resumed")
	}
	return nil
}

func (w *worker) Detail() string {
	version, suite := tls.VersionName(w.state.Version), tls.CipherSuiteName(w.state.CipherSuite)
	return fmt.Sprintf("%s %s %s", version, suite, w.state.CurveID)
}

func main() {
	flag.Parse()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", *meter.Path, *meter.Host)
	config := &tls.Config{
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
		// All gateways have it; a hybrid one with ML-KEM would only be used by some.
		CurvePreferences: []tls.CurveID{tls.X25519},
		// Without a ClientSessionCache no session is kept.
		NextProtos: []string{"http/1.1"},
	}
	meter.Run(func() (meter.Worker, error) {
		return &worker{request: []byte(request), config: config}, nil
	})
}
