// Command kubelet is a node for tests. It binds every pod that waits for a node to itself and runs containers as processes:
// with namespaces of their own for network, mounts, process ids and host name, on a root file system that is a writable
// view of the machine's own. An image is an entry of a table. There are no cgroups: requests and limits are not enforced.
//
// It expects to be process 1 of a pid namespace with a mount namespace of its own (unshare --pid --fork --kill-child --mount
// --mount-proc), so that nothing of it outlives it, and to be in the network namespace of the node.
package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

type options struct {
	kubeconfig   string
	node         string
	address      string
	bridge       string
	serviceRange string
	root         string
	images       string
	certificate  string
	key          string
	port         int
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == containerStage {
		runContainerStage()
	}
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the node")
	flag.StringVar(&o.node, "node", "node-1", "name of the node")
	flag.StringVar(&o.address, "address", "10.244.0.1/16", "address of the bridge with the length of the pods' prefix")
	flag.StringVar(&o.bridge, "bridge", "pods", "bridge that joins the pods")
	flag.StringVar(&o.serviceRange, "service-range", "10.96.0.0/16", "addresses of Services")
	flag.StringVar(&o.root, "root", "", "folder for volumes and logs")
	flag.StringVar(&o.images, "images", "", "JSON table of images")
	flag.StringVar(&o.certificate, "tls-cert-file", "", "certificate of the log server")
	flag.StringVar(&o.key, "tls-private-key-file", "", "its key")
	flag.IntVar(&o.port, "port", 10250, "port of the log server")
	klog.InitFlags(nil)
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		klog.ErrorS(err, "the kubelet cannot work")
		klog.Flush()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	config.Dial = patient
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	network, err := newPodNetwork(o.bridge, o.address, o.serviceRange)
	if err != nil {
		return err
	}
	k := &kubelet{options: o, client: client, network: network, workers: map[string]*worker{}}
	if err := k.prepareRoot(); err != nil {
		return err
	}
	if err := k.registerNode(ctx); err != nil {
		return err
	}
	if err := k.serveLogs(ctx); err != nil {
		return err
	}
	proxy := newServiceProxy(client, o.serviceRange, network.prefix.String())
	go proxy.run(ctx)
	return k.run(ctx)
}

// patient dials until somebody listens. An informer that is refused waits for up to a minute between its tries, and a test
// that stops the API server would wait as long for the node afterwards.
func patient(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{}
	for {
		connection, err := dialer.DialContext(ctx, network, address)
		if !errors.Is(err, syscall.ECONNREFUSED) || !pause(ctx, eager) {
			return connection, err
		}
	}
}
