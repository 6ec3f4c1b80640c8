// Command wsload sends text messages of 64 bytes through WebSockets, one under way on each, and waits for their echo.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"sluice.example/bench/meter"
)

const (
	size = 64
	key  = "dGhlIHNhbXBsZSBub25jZQ=="
	guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

type worker struct {
	connection net.Conn
	reader     *bufio.Reader
	message    []byte
	expected   []byte
	answer     []byte
	deadline   time.Time
}

func connect() (meter.Worker, error) {
	connection, err := net.DialTimeout("tcp", *meter.Address, meter.Timeout)
	if err != nil {
		return nil, err
	}
	reader := bufio.NewReader(connection)
	if err := upgrade(connection, reader); err != nil {
		connection.Close()
		return nil, err
	}
	text := bytes.Repeat([]byte("x"), size)
	// FIN and text; what a client sends is masked (RFC 6455, section 5.3), what a server sends is not.
	message := append([]byte{0x81, 0x80 | size}, mask[:]...)
	for index, value := range text {
		message = append(message, value^mask[index%4])
	}
	expected := append([]byte{0x81, size}, text...)
	return &worker{connection, reader, message, expected, make([]byte, len(expected)), time.Time{}}, nil
}

func upgrade(connection net.Conn, reader *bufio.Reader) error {
	if err := connection.SetDeadline(time.Now().Add(meter.Timeout)); err != nil {
		return err
	}
	head := "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
	if _, err := fmt.Fprintf(connection, head, *meter.Path, *meter.Host, key); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	hash := sha1.Sum([]byte(key + guid))
	accept := response.Header.Get("Sec-WebSocket-Accept")
	if response.StatusCode != http.StatusSwitchingProtocols || accept != base64.StdEncoding.EncodeToString(hash[:]) {
		return fmt.Errorf("the upgrade was answered %s", response.Status)
	}
	return nil
}

func (w *worker) Step() error {
	// The deadline is renewed once a second: it costs more than the message.
	if now := time.Now(); now.Add(meter.Timeout - time.Second).After(w.deadline) {
		w.deadline = now.Add(meter.Timeout)
		if err := w.connection.SetDeadline(w.deadline); err != nil {
			return err
		}
	}
	if _, err := w.connection.Write(w.message); err != nil {
		return err
	}
	if _, err := io.ReadFull(w.reader, w.answer); err != nil {
		return err
	}
	if !bytes.Equal(w.answer, w.expected) {
		return errors.New("the echo differs")
	}
	return nil
}

func (w *worker) Detail() string { return "" }

func main() {
	flag.Parse()
	meter.Run(connect)
}
