package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// podNetwork gives each pod a network namespace with one end of a veth pair; the other end is on the node's bridge.
type podNetwork struct {
	bridge netlink.Link
	node   netip.Addr
	prefix netip.Prefix

	lock sync.Mutex
	last netip.Addr
	used map[netip.Addr]bool
}

// sandbox is the network of one pod.
type sandbox struct {
	address netip.Addr
	// ns is invalid for a pod of the host's network.
	ns   netns.NsHandle
	link string
}

func newPodNetwork(bridge, address, serviceRange string) (*podNetwork, error) {
	link, err := netlink.LinkByName(bridge)
	if err != nil {
		return nil, fmt.Errorf("bridge %s: %w", bridge, err)
	}
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return nil, err
	}
	_, services, err := net.ParseCIDR(serviceRange)
	if err != nil {
		return nil, err
	}
	// Programs of the node find no way to a Service's address otherwise, and so never get to the rule that replaces it.
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: services}
	if err := netlink.RouteReplace(route); err != nil {
		return nil, fmt.Errorf("route to Services: %w", err)
	}
	return &podNetwork{
		bridge: link, node: prefix.Addr(), prefix: prefix.Masked(), last: prefix.Addr(), used: map[netip.Addr]bool{},
	}, nil
}

// host is the sandbox of a pod with hostNetwork.
func (n *podNetwork) host() *sandbox {
	return &sandbox{address: n.node, ns: netns.None()}
}

func (n *podNetwork) open() (*sandbox, error) {
	address, err := n.take()
	if err != nil {
		return nil, err
	}
	box := &sandbox{address: address, ns: netns.None(), link: fmt.Sprintf("pod%x", address.As4())}
	if err := n.furnish(box); err != nil {
		n.close(box)
		return nil, err
	}
	return box, nil
}

func (n *podNetwork) furnish(box *sandbox) error {
	handle, err := newNamespace()
	if err != nil {
		return err
	}
	box.ns = handle
	attributes := netlink.NewLinkAttrs()
	attributes.Name = box.link
	attributes.MasterIndex = n.bridge.Attrs().Index
	pair := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(handle))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("veth pair: %w", err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(handle)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := inside.LinkByName(name)
		if err != nil {
			return err
		}
		if name == "eth0" {
			own := &net.IPNet{IP: box.address.AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), 32)}
			if err := inside.AddrAdd(link, &netlink.Addr{IPNet: own}); err != nil {
				return err
			}
		}
		if err := inside.LinkSetUp(link); err != nil {
			return err
		}
	}
	return inside.RouteAdd(&netlink.Route{Gw: n.node.AsSlice()})
}

// close takes the network away; connections through it are cut.
func (n *podNetwork) close(box *sandbox) {
	if !box.ns.IsOpen() {
		return
	}
	if link, err := netlink.LinkByName(box.link); err == nil {
		_ = netlink.LinkDel(link)
	}
	_ = box.ns.Close()
	n.lock.Lock()
	defer n.lock.Unlock()
	delete(n.used, box.address)
}

// take goes on through the whole prefix, so that the address of a deleted pod is not soon that of another.
func (n *podNetwork) take() (netip.Addr, error) {
	n.lock.Lock()
	defer n.lock.Unlock()
	for next := n.last.Next(); next != n.last; next = next.Next() {
		if !n.prefix.Contains(next.Next()) {
			next = n.node
			continue
		}
		if !n.used[next] && next != n.node {
			n.used[next] = true
			n.last = next
			return next, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of %s is free", n.prefix)
}

// newNamespace makes a network namespace. A thread that cannot come back from it ends with its goroutine.
func newNamespace() (netns.NsHandle, error) {
	type result struct {
		handle netns.NsHandle
		err    error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		handle, err := func() (netns.NsHandle, error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return netns.None(), fmt.Errorf("network namespace: %w", err)
			}
			// As container runtimes do: port 80 is for everyone.
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o644); err != nil {
				return netns.None(), err
			}
			return netns.Get()
		}()
		done <- result{handle, err}
	}()
	got := <-done
	return got.handle, got.err
}

// inside calls start with the calling thread in the pod's network, where a process that is started stays.
func (b *sandbox) inside(start func() error) error {
	if !b.ns.IsOpen() {
		return start()
	}
	done := make(chan error)
	go func() {
		// Never unlocked: the thread, which is in the wrong namespace, ends with this goroutine.
		runtime.LockOSThread()
		if err := netns.Set(b.ns); err != nil {
			done <- err
			return
		}
		done <- start()
	}()
	return <-done
}
