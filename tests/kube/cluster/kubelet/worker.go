package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// setupRetry is how long a pod waits for a Secret that does not exist, and the like.
const setupRetry = 200 * time.Millisecond

// worker is one pod from its binding to the end.
type worker struct {
	kubelet *kubelet
	key     podKey
	dir     string
	tokens  map[string]token
	box     *sandbox

	current atomic.Pointer[v1.Pod]
	// deleted is closed when the pod is to end, gone when there is nothing to wait for any more.
	deleted, gone           chan struct{}
	deletedOnce, goneOnce   sync.Once
	statusWanted            chan struct{}
	mountedChanged          chan struct{}
	lock                    sync.Mutex
	started                 time.Time
	boxAddress              string
	initial, running        []*containerState
	initialized, terminated bool
	setupFailure            string
}

func newWorker(k *kubelet, pod *v1.Pod) *worker {
	w := &worker{
		kubelet: k,
		key:     podKey{pod.Namespace, pod.Name, pod.UID},
		dir:     filepath.Join(k.podsDir(), string(pod.UID)),
		tokens:  map[string]token{},
		deleted: make(chan struct{}), gone: make(chan struct{}), statusWanted: make(chan struct{}, 1),
		mountedChanged: make(chan struct{}, 1),
		started:        time.Now(),
	}
	for i := range pod.Spec.InitContainers {
		w.initial = append(w.initial, newContainerState(w, pod.Spec.InitContainers[i].Name))
	}
	for i := range pod.Spec.Containers {
		w.running = append(w.running, newContainerState(w, pod.Spec.Containers[i].Name))
	}
	w.update(pod)
	return w
}

func (w *worker) pod() *v1.Pod { return w.current.Load() }

// update takes a newer state of the pod's object. What a watch brings may be older than the answer to a write.
func (w *worker) update(pod *v1.Pod) {
	for {
		known := w.current.Load()
		if known != nil && versionOf(pod) < versionOf(known) {
			return
		}
		if w.current.CompareAndSwap(known, pod) {
			break
		}
	}
	if pod.DeletionTimestamp != nil {
		w.deletedOnce.Do(func() { close(w.deleted) })
	}
}

func versionOf(pod *v1.Pod) uint64 {
	number, _ := strconv.ParseUint(pod.ResourceVersion, 10, 64)
	return number
}

func (w *worker) lost() {
	w.deletedOnce.Do(func() { close(w.deleted) })
	w.goneOnce.Do(func() { close(w.gone) })
}

func (w *worker) hostname() string {
	if name := w.pod().Spec.Hostname; name != "" {
		return name
	}
	return w.key.name
}

func (w *worker) address() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.boxAddress
}

// run is the life of the pod. Each container has a goroutine that restarts it; this one waits for the end.
func (w *worker) run(ctx context.Context) {
	reporting, stopReporting := context.WithCancel(ctx)
	reports := sync.WaitGroup{}
	reports.Go(func() { w.report(reporting) })

	alive, end := context.WithCancel(ctx)
	containers := sync.WaitGroup{}
	if w.setUp(alive) {
		background := sync.WaitGroup{}
		background.Go(func() { w.refreshVolumes(alive) })
		if w.runInitial(alive) {
			w.set(func() { w.initialized = true })
			for _, c := range w.running {
				containers.Go(func() { c.run(alive) })
			}
			finished := make(chan struct{})
			go func() { containers.Wait(); close(finished) }()
			select {
			case <-w.deleted:
				w.terminate()
			case <-finished:
			case <-ctx.Done():
			}
		}
		end()
		containers.Wait()
		background.Wait()
	}
	end()
	w.set(func() { w.terminated = true })
	w.tearDown()
	stopReporting()
	reports.Wait()
	if ctx.Err() != nil {
		return
	}
	w.writeStatus(ctx)
}

// setUp makes network and volumes, however long it takes to have what they need. It reports false when the pod is deleted
// before that.
func (w *worker) setUp(ctx context.Context) bool {
	for {
		err := w.trySetUp(ctx)
		if err == nil {
			w.set(func() { w.setupFailure = "" })
			return true
		}
		w.set(func() { w.setupFailure = err.Error() })
		select {
		case <-w.deleted:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(setupRetry):
		}
	}
}

func (w *worker) trySetUp(ctx context.Context) error {
	if w.box == nil {
		box := w.kubelet.network.host()
		if !w.pod().Spec.HostNetwork {
			var err error
			if box, err = w.kubelet.network.open(); err != nil {
				return err
			}
		}
		w.box = box
		w.set(func() { w.boxAddress = box.address.String() })
	}
	return w.writeVolumes(ctx)
}

func (w *worker) tearDown() {
	if w.box != nil {
		w.kubelet.network.close(w.box)
	}
	if err := os.RemoveAll(w.dir); err != nil {
		klog.ErrorS(err, "files of a pod stay", "pod", w.key)
	}
}

// runInitial runs the init containers one after the other. Those that go on beside the pod (restartPolicy Always) are not
// implemented.
func (w *worker) runInitial(ctx context.Context) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-w.deleted:
			stop()
		case <-ctx.Done():
		}
	}()
	for _, c := range w.initial {
		if !c.runOnce(ctx) {
			return false
		}
	}
	return ctx.Err() == nil
}

// terminate asks every container to end and takes it away when the grace period is over.
func (w *worker) terminate() {
	grace := 30 * time.Second
	if seconds := w.pod().DeletionGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	deadline := time.Now().Add(grace)
	ending := sync.WaitGroup{}
	for _, c := range w.running {
		ending.Go(func() { c.terminate(deadline, w.gone) })
	}
	ending.Wait()
}

// set changes the state of the pod, which is then reported.
func (w *worker) set(change func()) {
	w.lock.Lock()
	change()
	w.lock.Unlock()
	wake(w.statusWanted)
}

// hosts is the /etc/hosts of its containers.
func (w *worker) hosts() string {
	own := ""
	if !w.pod().Spec.HostNetwork {
		own = fmt.Sprintf("%s\t%s\n", w.address(), w.hostname())
	}
	return "127.0.0.1\tlocalhost\n" + own + w.kubelet.apiServiceAddress() +
		"\tkubernetes.default.svc kubernetes.default.svc.cluster.local kubernetes.default\n"
}

// wake makes whoever waits for the channel, which has room for one, look again.
func wake(channel chan<- struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}
