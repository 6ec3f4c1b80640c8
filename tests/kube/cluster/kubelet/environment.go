package main

import (
	"context"
	"fmt"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// environment is what a container's program gets, and the texts that $(NAME) in its command stand for.
func (w *worker) environment(ctx context.Context, c *v1.Container, from image) (map[string]string, error) {
	values := map[string]string{
		"PATH":     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOSTNAME": w.hostname(),
		"HOME":     "/",
		// Every pod of a cluster is told where the API server is.
		"KUBERNETES_SERVICE_HOST": w.kubelet.apiServiceAddress(),
		"KUBERNETES_SERVICE_PORT": "443",
	}
	for name, value := range from.Env {
		values[name] = value
	}
	for _, source := range c.EnvFrom {
		data, err := w.envFrom(ctx, source)
		if err != nil {
			return nil, err
		}
		for name, value := range data {
			values[source.Prefix+name] = value
		}
	}
	expand := expansion.MappingFuncFor(values)
	for _, variable := range c.Env {
		if variable.ValueFrom == nil {
			values[variable.Name] = expansion.Expand(variable.Value, expand)
			continue
		}
		value, ok, err := w.envValue(ctx, c, variable.ValueFrom)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", variable.Name, err)
		}
		if ok {
			values[variable.Name] = value
		}
	}
	return values, nil
}

func (w *worker) envFrom(ctx context.Context, source v1.EnvFromSource) (map[string]string, error) {
	values := map[string]string{}
	if ref := source.ConfigMapRef; ref != nil {
		found, err := w.configMap(ctx, ref.Name, ref.Optional)
		if err != nil {
			return nil, err
		}
		for name, value := range found.Data {
			values[name] = value
		}
	}
	if ref := source.SecretRef; ref != nil {
		found, err := w.secret(ctx, ref.Name, ref.Optional)
		if err != nil {
			return nil, err
		}
		for name, value := range found.Data {
			values[name] = string(value)
		}
	}
	return values, nil
}

// envValue reports false for a reference that may be empty and is.
func (w *worker) envValue(ctx context.Context, c *v1.Container, source *v1.EnvVarSource) (string, bool, error) {
	switch {
	case source.FieldRef != nil:
		value, err := w.field(source.FieldRef.FieldPath)
		return value, true, err
	case source.ConfigMapKeyRef != nil:
		ref := source.ConfigMapKeyRef
		found, err := w.configMap(ctx, ref.Name, ref.Optional)
		if err != nil {
			return "", false, err
		}
		value, ok := found.Data[ref.Key]
		return value, ok, missingKey(ok, ref.Optional, ref.Key, ref.Name)
	case source.SecretKeyRef != nil:
		ref := source.SecretKeyRef
		found, err := w.secret(ctx, ref.Name, ref.Optional)
		if err != nil {
			return "", false, err
		}
		value, ok := found.Data[ref.Key]
		return string(value), ok, missingKey(ok, ref.Optional, ref.Key, ref.Name)
	case source.ResourceFieldRef != nil:
		value, err := resourceField(c, source.ResourceFieldRef)
		return value, true, err
	}
	return "", false, fmt.Errorf("this source is not implemented")
}

func missingKey(found bool, optional *bool, key, name string) error {
	if found || isTrue(optional) {
		return nil
	}
	return fmt.Errorf("%s has no key %s", name, key)
}

// field is the text of a fieldRef: metadata of the pod, or what the kubelet decided about it.
func (w *worker) field(path string) (string, error) {
	pod := w.pod()
	switch path {
	case "status.podIP", "status.podIPs":
		return w.address(), nil
	case "status.hostIP", "status.hostIPs":
		return w.kubelet.network.node.String(), nil
	case "spec.nodeName":
		return w.kubelet.node, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

func resourceField(c *v1.Container, ref *v1.ResourceFieldSelector) (string, error) {
	list := map[string]v1.ResourceList{"limits": c.Resources.Limits, "requests": c.Resources.Requests}
	for kind, resources := range list {
		for name, quantity := range resources {
			if ref.Resource != kind+"."+string(name) {
				continue
			}
			unit := ref.Divisor.MilliValue()
			if unit == 0 {
				unit = 1000
			}
			// Rounded up, as the API says.
			return strconv.FormatInt((quantity.MilliValue()+unit-1)/unit, 10), nil
		}
	}
	return "", fmt.Errorf("the container has no %s", ref.Resource)
}

func (w *worker) configMap(ctx context.Context, name string, optional *bool) (*v1.ConfigMap, error) {
	found, err := w.kubelet.client.CoreV1().ConfigMaps(w.key.namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && isTrue(optional) {
		return &v1.ConfigMap{}, nil
	}
	return found, err
}

func (w *worker) secret(ctx context.Context, name string, optional *bool) (*v1.Secret, error) {
	found, err := w.kubelet.client.CoreV1().Secrets(w.key.namespace).Get(ctx, name, metav1.GetOptions{})
	if errors.IsNotFound(err) && isTrue(optional) {
		return &v1.Secret{}, nil
	}
	return found, err
}

func isTrue(value *bool) bool { return value != nil && *value }
