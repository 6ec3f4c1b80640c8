// Command grpcecho is the gRPC backend of the load benchmark: helloworld.Greeter, which answers with the name it was given.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type greeter struct{}

// sayHello takes and gives messages with one string field numbered 1, which is what StringValue is on the wire: no
// generated code is needed.
func sayHello(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	message := new(wrapperspb.StringValue)
	if err := decode(message); err != nil {
		return nil, err
	}
	return message, nil
}

func main() {
	listen := flag.String("listen", "127.0.0.1:50051", "address")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxConcurrentStreams(1000))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "helloworld.Greeter",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "SayHello", Handler: sayHello}},
		Metadata:    "helloworld.proto",
	}, greeter{})
	log.Fatal(server.Serve(listener))
}
