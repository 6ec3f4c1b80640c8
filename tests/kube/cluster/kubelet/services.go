package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// serviceProxy does what kube-proxy does for ClusterIPs: nftables replace a Service's address by that of one of its
// endpoints. Node ports, external addresses and session affinity are not implemented.
type serviceProxy struct {
	client       kubernetes.Interface
	serviceRange string
	podRange     string
	services     corelisters.ServiceLister
	endpoints    discoverylisters.EndpointSliceLister
	changed      chan struct{}
}

func newServiceProxy(client kubernetes.Interface, serviceRange, podRange string) *serviceProxy {
	return &serviceProxy{client: client, serviceRange: serviceRange, podRange: podRange, changed: make(chan struct{}, 1)}
}

func (p *serviceProxy) run(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(p.client, 0)
	p.services = factory.Core().V1().Services().Lister()
	p.endpoints = factory.Discovery().V1().EndpointSlices().Lister()
	notify := func() { wake(p.changed) }
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			klog.ErrorS(err, "service proxy")
			return
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	last := ""
	for {
		if rules := p.rules(); rules != last {
			if err := load(ctx, rules); err != nil {
				klog.ErrorS(err, "service proxy")
				time.AfterFunc(time.Second, notify)
			} else {
				last = rules
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-p.changed:
		}
	}
}

func load(ctx context.Context, rules string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, output, rules)
	}
	return nil
}

// rules is the whole table; nft replaces the old one in one transaction.
func (p *serviceProxy) rules() string {
	services, _ := p.services.List(labels.Everything())
	all, _ := p.endpoints.List(labels.Everything())
	byService := map[string][]*discovery.EndpointSlice{}
	for _, slice := range all {
		if slice.AddressType == discovery.AddressTypeIPv4 {
			key := slice.Namespace + "/" + slice.Labels[discovery.LabelServiceName]
			byService[key] = append(byService[key], slice)
		}
	}
	var lines []string
	for _, service := range services {
		address, err := netip.ParseAddr(service.Spec.ClusterIP)
		if err != nil || !address.Is4() {
			continue
		}
		for _, port := range service.Spec.Ports {
			targets := targetsOf(byService[service.Namespace+"/"+service.Name], port.Name)
			if len(targets) == 0 {
				continue
			}
			protocol := strings.ToLower(string(port.Protocol))
			match := fmt.Sprintf("ip daddr %s %s dport %d dnat to ", address, protocol, port.Port)
			if len(targets) == 1 {
				address, number, _ := strings.Cut(targets[0], " . ")
				lines = append(lines, match+address+":"+number)
				continue
			}
			for i, target := range targets {
				targets[i] = fmt.Sprintf("%d : %s", i, target)
			}
			choice := fmt.Sprintf("numgen random mod %d map { %s }", len(targets), strings.Join(targets, ", "))
			lines = append(lines, match+choice)
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf(`table ip services
delete table ip services
table ip services {
	chain choose {
		%s
	}
	chain from_pods { type nat hook prerouting priority -100; jump choose
	}
	chain from_node { type nat hook output priority -100; jump choose
	}
	# Client and endpoint are on one bridge; answers have to come back this way.
	chain back { type nat hook postrouting priority 100; ct status dnat ip saddr %s masquerade
	}
	# What no rule replaced has no endpoint.
	chain none_from_pods { type filter hook forward priority 0; ip daddr %s reject
	}
	chain none_from_node { type filter hook output priority 0; ip daddr %s reject
	}
}
`, strings.Join(lines, "\n\t\t"), p.podRange, p.serviceRange, p.serviceRange)
}

// targetsOf lists "address . port" of what takes new connections: ready endpoints, else those that still serve while they
// end.
func targetsOf(all []*discovery.EndpointSlice, port string) []string {
	var ready, ending []string
	for _, slice := range all {
		for _, p := range slice.Ports {
			if p.Name == nil || *p.Name != port || p.Port == nil {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				target := fmt.Sprintf("%s . %d", endpoint.Addresses[0], *p.Port)
				is := endpoint.Conditions
				switch {
				case is.Ready == nil || *is.Ready:
					ready = append(ready, target)
				case is.Serving != nil && *is.Serving && is.Terminating != nil && *is.Terminating:
					ending = append(ending, target)
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}
