// Command wsecho is the WebSocket backend of the load benchmark: it sends short messages back. Other requests get 200.
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
)

const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

func upgrade(writer http.ResponseWriter, request *http.Request) {
	if !strings.EqualFold(request.Header.Get("Upgrade"), "websocket") {
		writer.WriteHeader(http.StatusOK)
		return
	}
	hash := sha1.Sum([]byte(request.Header.Get("Sec-WebSocket-Key") + guid))
	connection, buffered, err := http.NewResponseController(writer).Hijack()
	if err != nil {
		log.Print(err)
		return
	}
	defer connection.Close()
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
	if _, err := io.WriteString(connection, head+base64.StdEncoding.EncodeToString(hash[:])+"\r\n\r\n"); err != nil {
		return
	}
	echo(connection, buffered.Reader)
}

// echo knows what the load generator sends: whole messages below 126 bytes. Anything else ends the connection.
func echo(connection net.Conn, reader *bufio.Reader) {
	var head [6]byte
	frame := make([]byte, 2+125)
	for {
		if _, err := io.ReadFull(reader, head[:]); err != nil {
			return
		}
		length := int(head[1] & 0x7f)
		if head[0] != 0x81 || head[1]&0x80 == 0 || length > 125 {
			return
		}
		frame[0], frame[1] = head[0], byte(length)
		text := frame[2 : 2+length]
		if _, err := io.ReadFull(reader, text); err != nil {
			return
		}
		for index := range text {
			text[index] ^= head[2+index%4]
		}
		if _, err := connection.Write(frame[:2+length]); err != nil {
			return
		}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*listen, http.HandlerFunc(upgrade)))
}
