package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
)

// heartbeat is how often the node says that it lives.
const heartbeat = 10 * time.Second

// kubelet is the node: it has a worker for every pod that is bound to it.
type kubelet struct {
	options
	client  kubernetes.Interface
	network *podNetwork

	lock    sync.Mutex
	workers map[string]*worker
	working sync.WaitGroup
}

func (k *kubelet) podsDir() string { return filepath.Join(k.root, "pods") }

func (k *kubelet) logsDir() string { return filepath.Join(k.root, "logs") }

// prepareRoot makes the folders; what pods write goes to memory.
func (k *kubelet) prepareRoot() error {
	for _, dir := range []string{k.podsDir(), k.logsDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("pods", k.podsDir(), "tmpfs", 0, "mode=755")
}

// apiServiceAddress is the first address of the Service range.
func (k *kubelet) apiServiceAddress() string {
	return netip.MustParsePrefix(k.serviceRange).Addr().Next().String()
}

func (k *kubelet) registerNode(ctx context.Context) error {
	nodes := k.client.CoreV1().Nodes()
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: k.node, Labels: map[string]string{v1.LabelHostname: k.node, v1.LabelOSStable: "linux"},
	}}
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); err != nil && !errors.IsAlreadyExists(err) {
		return err
	}
	if err := k.reportNode(ctx); err != nil {
		return err
	}
	go func() {
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(heartbeat):
				if err := k.reportNode(ctx); err != nil {
					klog.V(2).InfoS("no heartbeat", "reason", err)
				}
			}
		}
	}()
	return nil
}

func (k *kubelet) reportNode(ctx context.Context) error {
	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.node, metav1.GetOptions{})
	if err != nil {
		return err
	}
	resources := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("256Gi"),
		v1.ResourcePods: resource.MustParse("1000"),
	}
	now := metav1.Now()
	node.Status.Capacity, node.Status.Allocatable = resources, resources
	node.Status.Addresses = []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: k.network.node.String()}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(k.port)
	node.Status.NodeInfo.KubeletVersion = version.Get().GitVersion
	node.Status.Conditions = []v1.NodeCondition{{
		Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now,
		LastTransitionTime: node.CreationTimestamp,
	}}
	_, err = nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return err
}

// run follows the pods until the context ends, then ends all containers.
func (k *kubelet) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(k.client, 0)
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.see(ctx, object.(*v1.Pod)) },
		UpdateFunc: func(_, object any) { k.see(ctx, object.(*v1.Pod)) },
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			k.lose(object.(*v1.Pod))
		},
	})
	if err != nil {
		return err
	}
	// Objects in volumes are read when they are needed; the watch says when they changed.
	for _, mounted := range []cache.SharedIndexInformer{
		factory.Core().V1().Secrets().Informer(), factory.Core().V1().ConfigMaps().Informer(),
	} {
		_, err := mounted.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { k.wakeReaders(object.(metav1.Object)) },
			UpdateFunc: func(_, object any) { k.wakeReaders(object.(metav1.Object)) },
		})
		if err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	klog.InfoS("the node is there", "node", k.node)
	<-ctx.Done()
	k.working.Wait()
	return nil
}

// see takes note of a pod as it is now.
func (k *kubelet) see(ctx context.Context, pod *v1.Pod) {
	if pod.Spec.NodeName == "" {
		go k.bind(ctx, pod)
		return
	}
	if pod.Spec.NodeName != k.node {
		return
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	if known := k.workers[string(pod.UID)]; known != nil {
		known.update(pod)
		return
	}
	if pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
		if pod.DeletionTimestamp != nil {
			go k.remove(ctx, pod)
		}
		return
	}
	w := newWorker(k, pod)
	k.workers[string(pod.UID)] = w
	k.working.Go(func() {
		w.run(ctx)
		k.lock.Lock()
		delete(k.workers, string(pod.UID))
		k.lock.Unlock()
		// Whatever is seen of the pod from here on is not the worker's business any more.
		if w.pod().DeletionTimestamp != nil && ctx.Err() == nil {
			k.remove(ctx, w.pod())
		}
	})
}

// wakeReaders has pods look at a Secret or ConfigMap that they show in a volume.
func (k *kubelet) wakeReaders(object metav1.Object) {
	k.lock.Lock()
	defer k.lock.Unlock()
	for _, known := range k.workers {
		if known.key.namespace == object.GetNamespace() && known.mountsObject(object) {
			wake(known.mountedChanged)
		}
	}
}

// lose is told of a pod whose object is gone: nobody waits for it to end in peace.
func (k *kubelet) lose(pod *v1.Pod) {
	if known := k.worker(string(pod.UID)); known != nil {
		known.lost()
	}
}

func (k *kubelet) worker(uid string) *worker {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.workers[uid]
}

// workerOf finds a pod by name.
func (k *kubelet) workerOf(namespace, name string) *worker {
	k.lock.Lock()
	defer k.lock.Unlock()
	for _, known := range k.workers {
		if known.key.namespace == namespace && known.key.name == name {
			return known
		}
	}
	return nil
}

// bind is the whole scheduler: there is one node, and it has room.
func (k *kubelet) bind(ctx context.Context, pod *v1.Pod) {
	if pod.DeletionTimestamp != nil || len(pod.Spec.SchedulingGates) > 0 {
		return
	}
	binding := &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: k.node},
	}
	err := k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	if err != nil && !errors.IsConflict(err) && !errors.IsNotFound(err) {
		klog.ErrorS(err, "binding", "pod", klog.KObj(pod))
	}
}

// remove is the last thing that happens to a deleted pod: its object goes.
func (k *kubelet) remove(ctx context.Context, pod *v1.Pod) {
	now := int64(0)
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) && ctx.Err() == nil {
		klog.ErrorS(fmt.Errorf("removing the object: %w", err), "pod stays", "pod", klog.KObj(pod))
	}
}
