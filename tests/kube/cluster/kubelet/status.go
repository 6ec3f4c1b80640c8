package main

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	podstatus "k8s.io/kubernetes/pkg/util/pod"
)

// statusRetry is the pause after a status that could not be written.
const statusRetry = 200 * time.Millisecond

// report writes the status whenever it changed.
func (w *worker) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.statusWanted:
			w.writeStatus(ctx)
		}
	}
}

// writeStatus goes on until it is written or the pod does not exist any more.
func (w *worker) writeStatus(ctx context.Context) {
	for ctx.Err() == nil {
		pod := w.pod()
		next := w.status(pod)
		written, _, unchanged, err := podstatus.PatchPodStatus(
			ctx, w.kubelet.client, pod.Namespace, pod.Name, pod.UID, pod.Status, next)
		if err == nil {
			if !unchanged {
				w.update(written)
			}
			return
		}
		if errors.IsNotFound(err) || errors.IsConflict(err) {
			return
		}
		klog.V(2).InfoS("status is not written", "pod", w.key, "reason", err)
		select {
		case <-ctx.Done():
		case <-w.gone:
			return
		case <-time.After(statusRetry):
		}
	}
}

// status is the status of the pod as it is now, with the times of what did not change kept.
func (w *worker) status(pod *v1.Pod) v1.PodStatus {
	w.lock.Lock()
	defer w.lock.Unlock()
	next := *pod.Status.DeepCopy()
	started := metav1.NewTime(w.started)
	if next.StartTime == nil {
		next.StartTime = &started
	}
	next.HostIP = w.kubelet.network.node.String()
	next.HostIPs = []v1.HostIP{{IP: next.HostIP}}
	if w.boxAddress != "" {
		next.PodIP = w.boxAddress
		next.PodIPs = []v1.PodIP{{IP: w.boxAddress}}
	}
	next.InitContainerStatuses = containerStatuses(w.initial, pod.Spec.InitContainers)
	next.ContainerStatuses = containerStatuses(w.running, pod.Spec.Containers)
	ready := !w.terminated
	for _, status := range next.ContainerStatuses {
		ready = ready && status.Ready
	}
	next.Phase = w.phase(pod.Spec.RestartPolicy)
	generation := pod.Generation
	condition := func(kind v1.PodConditionType, is bool) {
		status := v1.ConditionFalse
		if is {
			status = v1.ConditionTrue
		}
		fresh := v1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.Now(), ObservedGeneration: generation}
		for _, old := range next.Conditions {
			if old.Type == kind && old.Status == status {
				fresh.LastTransitionTime = old.LastTransitionTime
			}
		}
		next.Conditions = podstatus.ReplaceOrAppendPodCondition(next.Conditions, &fresh)
	}
	condition(v1.PodScheduled, true)
	condition(v1.PodInitialized, w.initialized)
	condition(v1.ContainersReady, ready)
	condition(v1.PodReady, ready)
	next.Message = w.setupFailure
	next.ObservedGeneration = generation
	return next
}

// phase follows the rules for the phase of a pod. The lock is held.
func (w *worker) phase(policy v1.RestartPolicy) v1.PodPhase {
	failed := false
	for _, c := range w.initial {
		if c.state.Terminated != nil && c.state.Terminated.ExitCode != 0 && policy == v1.RestartPolicyNever {
			return v1.PodFailed
		}
	}
	if !w.initialized && !w.terminated {
		return v1.PodPending
	}
	for _, c := range w.running {
		if c.state.Terminated == nil && !w.terminated {
			return v1.PodRunning
		}
		if c.state.Terminated == nil || c.state.Terminated.ExitCode != 0 {
			failed = true
		}
	}
	switch {
	case !w.terminated && policy == v1.RestartPolicyAlways:
		return v1.PodRunning
	case failed:
		return v1.PodFailed
	}
	return v1.PodSucceeded
}

func containerStatuses(states []*containerState, specs []v1.Container) []v1.ContainerStatus {
	var all []v1.ContainerStatus
	for i, c := range states {
		up := c.up
		all = append(all, v1.ContainerStatus{
			Name: c.name, Image: specs[i].Image, ImageID: specs[i].Image, Ready: c.ready, Started: &up,
			RestartCount: c.restarts, State: c.state, LastTerminationState: c.last, ContainerID: c.id(),
		})
	}
	return all
}
