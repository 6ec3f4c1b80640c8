package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/probe"
	probegrpc "k8s.io/kubernetes/pkg/probe/grpc"
	probehttp "k8s.io/kubernetes/pkg/probe/http"
	probetcp "k8s.io/kubernetes/pkg/probe/tcp"
)

// eager is the pause between probes of a container that has not been ready yet. A kubelet takes the probe's period for
// that too; tests would wait for nothing.
const eager = 100 * time.Millisecond

// probe follows one run of the container: startup first, then liveness and readiness beside each other. While the pod
// ends, only readiness is still looked at, as a kubelet does.
func (c *containerState) probe(ctx context.Context) {
	spec := c.spec()
	living, stopLiving := context.WithCancel(ctx)
	defer stopLiving()
	go func() {
		select {
		case <-c.stopping:
			stopLiving()
		case <-living.Done():
		}
	}()
	if spec.StartupProbe != nil && !c.awaitStart(living, spec) {
		return
	}
	c.worker.set(func() { c.up = true })
	all := sync.WaitGroup{}
	if spec.LivenessProbe != nil {
		all.Go(func() {
			if c.watch(living, spec, spec.LivenessProbe, nil) {
				c.restart(living, "liveness", spec.LivenessProbe)
			}
		})
	}
	if spec.ReadinessProbe == nil {
		c.worker.set(func() { c.ready = true })
	} else {
		c.watch(ctx, spec, spec.ReadinessProbe, func(ready bool) {
			c.worker.set(func() { c.ready = ready })
		})
	}
	all.Wait()
}

// awaitStart reports false when the container did not come up, and has it restarted.
func (c *containerState) awaitStart(ctx context.Context, spec *v1.Container) bool {
	started := make(chan struct{})
	once := sync.Once{}
	trying, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan bool, 1)
	go func() {
		failed <- c.watch(trying, spec, spec.StartupProbe, func(up bool) {
			if up {
				once.Do(func() { close(started) })
			}
		})
	}()
	select {
	case <-started:
		return true
	case did := <-failed:
		if did {
			c.restart(ctx, "startup", spec.StartupProbe)
		}
		return false
	}
}

func (c *containerState) restart(ctx context.Context, what string, p *v1.Probe) {
	klog.InfoS("probe failed, the container is restarted", "pod", c.worker.key, "container", c.name, "probe", what)
	grace := c.worker.pod().Spec.TerminationGracePeriodSeconds
	if p.TerminationGracePeriodSeconds != nil {
		grace = p.TerminationGracePeriodSeconds
	}
	c.worker.lock.Lock()
	current := c.process
	c.worker.lock.Unlock()
	// Beside the probes, which end with the container.
	go c.end(current, time.Now().Add(time.Duration(first(grace))*time.Second), ctx.Done())
}

// watch probes until the context ends. Without tell it also ends, with true, at the first failure that counts; with tell
// it says each change of the result, which is failure at first.
func (c *containerState) watch(ctx context.Context, spec *v1.Container, p *v1.Probe, tell func(bool)) bool {
	if !pause(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) {
		return false
	}
	successes, failures := int32(0), int32(0)
	is, ever := false, false
	startup := p == spec.StartupProbe
	for {
		err := c.try(ctx, spec, p)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
			klog.V(2).InfoS("probe", "pod", c.worker.key, "container", c.name, "failure", err)
		}
		was := is
		if successes >= p.SuccessThreshold {
			is, ever = true, true
		} else if failures >= p.FailureThreshold {
			is = false
			if tell == nil || startup {
				return true
			}
		}
		if tell != nil && was != is {
			tell(is)
		}
		period := time.Duration(p.PeriodSeconds) * time.Second
		if tell != nil && !ever && !startup {
			period = eager
		}
		if !pause(ctx, period) {
			return false
		}
	}
}

func pause(ctx context.Context, duration time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(duration):
		return true
	}
}

func (c *containerState) try(ctx context.Context, spec *v1.Container, p *v1.Probe) error {
	timeout := time.Duration(p.TimeoutSeconds) * time.Second
	host := c.worker.address()
	var result probe.Result
	var output string
	var err error
	switch {
	case p.HTTPGet != nil:
		return c.get(spec, p.HTTPGet, timeout)
	case p.TCPSocket != nil:
		if p.TCPSocket.Host != "" {
			host = p.TCPSocket.Host
		}
		port, portErr := probe.ResolveContainerPort(p.TCPSocket.Port, spec)
		if portErr != nil {
			return portErr
		}
		result, output, err = probetcp.New().Probe(host, port, timeout)
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil {
			service = *p.GRPC.Service
		}
		result, output, err = probegrpc.New().Probe(host, service, int(p.GRPC.Port), timeout)
	case p.Exec != nil:
		limited, stop := context.WithTimeout(ctx, timeout)
		defer stop()
		return c.execute(limited, p.Exec.Command)
	}
	return verdict(result, output, err)
}

func (c *containerState) get(spec *v1.Container, action *v1.HTTPGetAction, timeout time.Duration) error {
	request, err := probehttp.NewRequestForHTTPGetAction(action, spec, c.worker.address(), "probe")
	if err != nil {
		return err
	}
	return verdict(probehttp.New(false).Probe(request, timeout))
}

func verdict(result probe.Result, output string, err error) error {
	if err == nil && result != probe.Success && result != probe.Warning {
		return fmt.Errorf("%s", output)
	}
	return err
}

// hook runs a lifecycle handler of the container.
func (c *containerState) hook(ctx context.Context, handler *v1.LifecycleHandler) error {
	switch {
	case handler.Exec != nil:
		return c.execute(ctx, handler.Exec.Command)
	case handler.Sleep != nil:
		pause(ctx, time.Duration(handler.Sleep.Seconds)*time.Second)
	case handler.HTTPGet != nil:
		deadline, _ := ctx.Deadline()
		return c.get(c.spec(), handler.HTTPGet, time.Until(deadline))
	}
	return nil
}

// execute runs a command inside the container.
func (c *containerState) execute(ctx context.Context, command []string) error {
	c.worker.lock.Lock()
	pid := c.process.command.Process.Pid
	c.worker.lock.Unlock()
	into := []string{"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"}
	output, err := exec.CommandContext(ctx, "nsenter", append(into, command...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, output)
	}
	return nil
}
