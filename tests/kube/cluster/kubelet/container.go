package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

const (
	firstBackOff = 200 * time.Millisecond
	lastBackOff  = 5 * time.Second
	// steady is how long a container has to run for its next failure to count as the first.
	steady = 10 * time.Second
	// outputDelay bounds the wait for output of a container that has ended.
	outputDelay = time.Second
)

// containerState is one container of a pod through all its restarts. What is reported is guarded by the worker's lock.
type containerState struct {
	worker *worker
	name   string

	state, last v1.ContainerState
	// up says that the container has started as its startup probe, if there is one, wants it.
	ready, up bool
	restarts  int32
	starts    int
	process   *process

	// stopping is closed when the container is not to be started again.
	stopping     chan struct{}
	stoppingOnce sync.Once
}

// process is one run of a container.
type process struct {
	command *exec.Cmd
	started time.Time
	done    chan struct{}
}

func newContainerState(w *worker, name string) *containerState {
	return &containerState{worker: w, name: name, stopping: make(chan struct{}), state: waiting("ContainerCreating", "")}
}

func waiting(reason, message string) v1.ContainerState {
	return v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// id is what the API calls a container ID. The worker's lock is held.
func (c *containerState) id() string {
	if c.process == nil {
		return ""
	}
	return fmt.Sprintf("process://%d", c.process.command.Process.Pid)
}

// spec is the container as the pod has it now; a nil pointer cannot be, names do not change.
func (c *containerState) spec() *v1.Container {
	spec := &c.worker.pod().Spec
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == c.name {
			return &spec.InitContainers[i]
		}
	}
	return c.worker.container(c.name)
}

// run keeps the container running as the pod's restart policy says, until it is stopped.
func (c *containerState) run(ctx context.Context) {
	backOff := firstBackOff
	for {
		began := time.Now()
		code, started := c.once(ctx, true)
		policy := c.worker.pod().Spec.RestartPolicy
		over := policy == v1.RestartPolicyNever || policy == v1.RestartPolicyOnFailure && code == 0
		if c.isStopping(ctx) || started && over {
			return
		}
		if time.Since(began) > steady {
			backOff = firstBackOff
		}
		if started {
			c.worker.set(func() {
				c.last = c.state
				c.state = waiting("CrashLoopBackOff", fmt.Sprintf("exit code %d, next start in %s", code, backOff))
				c.restarts++
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-c.stopping:
			return
		case <-time.After(backOff):
		}
		backOff = min(2*backOff, lastBackOff)
	}
}

// runOnce runs an init container until it succeeds. It reports false when it never will.
func (c *containerState) runOnce(ctx context.Context) bool {
	for {
		code, started := c.once(ctx, false)
		if started && code == 0 {
			c.worker.set(func() { c.ready = true })
			return true
		}
		if c.isStopping(ctx) || started && c.worker.pod().Spec.RestartPolicy == v1.RestartPolicyNever {
			return false
		}
		if started {
			c.worker.set(func() { c.last, c.restarts = c.state, c.restarts+1 })
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(firstBackOff):
		}
	}
}

// once starts the container, with its probes, and waits for its end. What kept it from starting is reported as a reason to
// wait.
func (c *containerState) once(ctx context.Context, probed bool) (code int, started bool) {
	current, reason, err := c.start(ctx)
	if err != nil {
		c.worker.set(func() { c.state = waiting(reason, err.Error()) })
		return 0, false
	}
	c.worker.set(func() {
		c.process = current
		c.state = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: metav1.NewTime(current.started)}}
	})
	probing, stopProbing := context.WithCancel(ctx)
	probes := sync.WaitGroup{}
	if probed {
		probes.Go(func() { c.probe(probing) })
	}
	select {
	case <-current.done:
	case <-ctx.Done():
		_ = current.command.Process.Kill()
		<-current.done
	}
	stopProbing()
	probes.Wait()
	code = exitCode(current.command)
	c.worker.set(func() {
		c.ready, c.up = false, false
		reason := "Completed"
		if code != 0 {
			reason = "Error"
		}
		c.state = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, ContainerID: c.id(),
			StartedAt: metav1.NewTime(current.started), FinishedAt: metav1.Now(),
		}}
	})
	return code, true
}

func exitCode(command *exec.Cmd) int {
	status, ok := command.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return command.ProcessState.ExitCode()
}

// start returns a reason, as the API calls it, with an error.
func (c *containerState) start(ctx context.Context) (*process, string, error) {
	spec := c.spec()
	from, err := findImage(c.worker.kubelet.images, spec.Image)
	if err != nil {
		return nil, "ErrImagePull", err
	}
	description, err := c.describe(ctx, spec, from)
	if err != nil {
		return nil, "CreateContainerConfigError", err
	}
	current, err := c.launch(description)
	if err != nil {
		return nil, "RunContainerError", err
	}
	return current, "", nil
}

// launch starts this program again as the stage that becomes the container, and returns when it did.
func (c *containerState) launch(description *containerSpec) (*process, error) {
	log, err := c.openLog()
	if err != nil {
		return nil, err
	}
	// Not the file itself: a program that opens /dev/stdout would write over what is there.
	output := &logWriter{file: log}
	command := exec.Command("/proc/self/exe", containerStage)
	command.Stdout, command.Stderr = output, output
	command.WaitDelay = outputDelay
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	failure, err := c.startStage(command, description)
	if err != nil {
		_ = log.Close()
		return nil, err
	}
	current := &process{command: command, started: time.Now(), done: make(chan struct{})}
	go func() {
		err := command.Wait()
		klog.V(1).InfoS("container ended", "pod", c.worker.key, "container", c.name, "how", err)
		_ = log.Close()
		close(current.done)
	}()
	if failure != "" {
		<-current.done
		return nil, errors.New(failure)
	}
	return current, nil
}

// startStage gives the stage its specification and waits until it has become the container, or says why it cannot.
func (c *containerState) startStage(command *exec.Cmd, description *containerSpec) (failure string, err error) {
	specReader, specWriter, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer specWriter.Close()
	failureReader, failureWriter, err := os.Pipe()
	if err != nil {
		_ = specReader.Close()
		return "", err
	}
	defer failureReader.Close()
	command.ExtraFiles = []*os.File{specReader, failureWriter}
	err = c.worker.box.inside(command.Start)
	_ = specReader.Close()
	_ = failureWriter.Close()
	if err != nil {
		return "", err
	}
	if err := json.NewEncoder(specWriter).Encode(description); err != nil {
		return err.Error(), nil
	}
	said, err := io.ReadAll(failureReader)
	if err != nil {
		return err.Error(), nil
	}
	return string(said), nil
}

func (c *containerState) isStopping(ctx context.Context) bool {
	select {
	case <-c.stopping:
		return true
	default:
		return ctx.Err() != nil
	}
}

// terminate ends the container for good: its preStop hook, SIGTERM, and SIGKILL at the deadline or when nobody waits.
func (c *containerState) terminate(deadline time.Time, gone <-chan struct{}) {
	c.stoppingOnce.Do(func() { close(c.stopping) })
	c.worker.lock.Lock()
	current := c.process
	c.worker.lock.Unlock()
	if current == nil {
		return
	}
	c.end(current, deadline, gone)
}

func (c *containerState) end(current *process, deadline time.Time, gone <-chan struct{}) {
	ctx, stop := context.WithDeadline(context.Background(), deadline)
	defer stop()
	go func() {
		select {
		case <-gone:
		case <-current.done:
		case <-ctx.Done():
		}
		stop()
	}()
	if lifecycle := c.spec().Lifecycle; lifecycle != nil && lifecycle.PreStop != nil {
		if err := c.hook(ctx, lifecycle.PreStop); err != nil {
			klog.ErrorS(err, "preStop", "pod", c.worker.key, "container", c.name)
		}
	}
	_ = current.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-current.done:
		return
	case <-ctx.Done():
	}
	_ = current.command.Process.Kill()
	<-current.done
}

// openLog begins the log of one run.
func (c *containerState) openLog() (*os.File, error) {
	dir := filepath.Join(c.worker.logsDir(), c.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	c.starts++
	return os.Create(filepath.Join(dir, logName(c.starts-1)))
}
