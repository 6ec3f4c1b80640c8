// Command grpcinterop is the server of the gRPC interoperability tests on a loopback address; the one that comes with
// grpc-go listens on all addresses.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

// nameServer says who answered where a call asks for it, which the service of grpc-go leaves out.
func nameServer(name string) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		response, err := handler(ctx, request)
		if asked, ok := request.(*testpb.SimpleRequest); ok && asked.GetFillServerId() {
			if answer, ok := response.(*testpb.SimpleResponse); ok {
				answer.ServerId = name
			}
		}
		return response, err
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	certificate := flag.String("certificate", "", "file with the certificate chain; cleartext without it")
	key := flag.String("key", "", "file with the private key")
	flag.Parse()

	options := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	if *certificate != "" {
		secure, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(secure))
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	options = append(options, grpc.ChainUnaryInterceptor(nameServer(listener.Addr().String())))
	server := grpc.NewServer(options...)
	recorder := orca.NewServerMetricsRecorder()
	testpb.RegisterTestServiceServer(
		server, interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder}))
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
