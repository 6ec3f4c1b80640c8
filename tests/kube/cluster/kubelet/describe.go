package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

// capabilities by name, without CAP_.
var capabilities = map[v1.Capability]int{
	"AUDIT_CONTROL": unix.CAP_AUDIT_CONTROL, "AUDIT_READ": unix.CAP_AUDIT_READ, "AUDIT_WRITE": unix.CAP_AUDIT_WRITE,
	"BPF": unix.CAP_BPF, "CHOWN": unix.CAP_CHOWN, "DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE,
	"DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH, "FOWNER": unix.CAP_FOWNER, "FSETID": unix.CAP_FSETID,
	"IPC_LOCK": unix.CAP_IPC_LOCK, "KILL": unix.CAP_KILL, "MKNOD": unix.CAP_MKNOD, "NET_ADMIN": unix.CAP_NET_ADMIN,
	"NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE, "NET_RAW": unix.CAP_NET_RAW, "SETFCAP": unix.CAP_SETFCAP,
	"SETGID": unix.CAP_SETGID, "SETPCAP": unix.CAP_SETPCAP, "SETUID": unix.CAP_SETUID, "SYS_ADMIN": unix.CAP_SYS_ADMIN,
	"SYS_CHROOT": unix.CAP_SYS_CHROOT, "SYS_NICE": unix.CAP_SYS_NICE, "SYS_PTRACE": unix.CAP_SYS_PTRACE,
	"SYS_RESOURCE": unix.CAP_SYS_RESOURCE, "SYS_TIME": unix.CAP_SYS_TIME,
}

// standardCapabilities are those that container runtimes leave to a container that says nothing.
var standardCapabilities = []v1.Capability{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",
	"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

// describe turns a container of a pod into what the stage has to do.
func (c *containerState) describe(ctx context.Context, spec *v1.Container, from image) (*containerSpec, error) {
	w := c.worker
	environment, err := w.environment(ctx, spec, from)
	if err != nil {
		return nil, err
	}
	d := &containerSpec{
		Root:       filepath.Join(w.dir, "containers", c.name, strconv.Itoa(c.starts)),
		Hidden:     w.kubelet.podsDir(),
		Hostname:   w.hostname(),
		Hosts:      w.hosts(),
		Readable:   from.Readable,
		WorkingDir: "/",
	}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		d.Env = append(d.Env, name+"="+environment[name])
	}
	expand := expansion.MappingFuncFor(environment)
	d.Command = expanded(slices.Concat(from.Entrypoint, from.Cmd), expand)
	if len(spec.Command) > 0 {
		d.Command = expanded(slices.Concat(spec.Command, spec.Args), expand)
	} else if len(spec.Args) > 0 {
		d.Command = expanded(slices.Concat(from.Entrypoint, spec.Args), expand)
	}
	if len(d.Command) == 0 {
		return nil, fmt.Errorf("no command")
	}
	for _, path := range []string{from.WorkingDir, spec.WorkingDir} {
		if path != "" {
			d.WorkingDir = path
		}
	}
	if err := w.makeDir(d.Root, 0o755); err != nil {
		return nil, err
	}
	if d.Mounts, err = w.mounts(spec, expand); err != nil {
		return nil, err
	}
	return d, secure(d, w.pod().Spec.SecurityContext, spec.SecurityContext, from.User)
}

func expanded(words []string, expand func(string) string) []string {
	done := make([]string, len(words))
	for i, word := range words {
		done[i] = expansion.Expand(word, expand)
	}
	return done
}

func (w *worker) mounts(spec *v1.Container, expand func(string) string) ([]mount, error) {
	var mounts []mount
	for _, m := range spec.VolumeMounts {
		source := w.volumeDir(m.Name)
		for _, volume := range w.pod().Spec.Volumes {
			if volume.Name == m.Name && volume.HostPath != nil {
				source = volume.HostPath.Path
			}
		}
		sub := m.SubPath
		if m.SubPathExpr != "" {
			sub = expansion.Expand(m.SubPathExpr, expand)
		}
		if sub != "" {
			// A file of a volume is what it is now: it does not follow changes, which the API says of subPath.
			inner, err := filepath.EvalSymlinks(filepath.Join(source, sub))
			if err != nil {
				return nil, fmt.Errorf("subPath of %s: %w", m.Name, err)
			}
			source = inner
		}
		mounts = append(mounts, mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly || w.isReadOnly(m.Name)})
	}
	return mounts, nil
}

// isReadOnly says of volumes that show objects that nobody may write to them.
func (w *worker) isReadOnly(name string) bool {
	for _, volume := range w.pod().Spec.Volumes {
		if volume.Name == name {
			return volume.EmptyDir == nil && volume.HostPath == nil
		}
	}
	return false
}

// secure applies the security contexts. What the container says goes before what the pod says, and that before the image.
func secure(d *containerSpec, pod *v1.PodSecurityContext, own *v1.SecurityContext, imageUser *int64) error {
	if pod == nil {
		pod = &v1.PodSecurityContext{}
	}
	if own == nil {
		own = &v1.SecurityContext{}
	}
	d.User = int(first(own.RunAsUser, pod.RunAsUser, imageUser))
	d.Group = int(first(own.RunAsGroup, pod.RunAsGroup))
	d.Groups = []int{d.Group}
	for _, group := range pod.SupplementalGroups {
		d.Groups = append(d.Groups, int(group))
	}
	if pod.FSGroup != nil {
		d.Groups = append(d.Groups, int(*pod.FSGroup))
	}
	nonRoot := isTrue(pod.RunAsNonRoot)
	if own.RunAsNonRoot != nil {
		nonRoot = *own.RunAsNonRoot
	}
	if nonRoot && d.User == 0 {
		return fmt.Errorf("container has runAsNonRoot and would run as root")
	}
	d.ReadOnlyRoot = isTrue(own.ReadOnlyRootFilesystem)
	d.NoNewPrivs = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	chosen := map[v1.Capability]bool{}
	for _, name := range standardCapabilities {
		chosen[name] = true
	}
	if own.Capabilities != nil {
		change := func(names []v1.Capability, to bool) {
			for _, name := range names {
				name = v1.Capability(strings.TrimPrefix(strings.ToUpper(string(name)), "CAP_"))
				if name != "ALL" {
					chosen[name] = to
					continue
				}
				for every := range capabilities {
					chosen[every] = to
				}
			}
		}
		if slices.Contains(own.Capabilities.Drop, "ALL") {
			clear(chosen)
		}
		change(own.Capabilities.Add, true)
		change(slices.DeleteFunc(slices.Clone(own.Capabilities.Drop), func(n v1.Capability) bool { return n == "ALL" }), false)
	}
	for name, is := range chosen {
		number, known := capabilities[name]
		if is && !known {
			return fmt.Errorf("capability %q is not known here", name)
		}
		if is || isTrue(own.Privileged) {
			d.Capabilities = append(d.Capabilities, number)
		}
	}
	if isTrue(own.Privileged) {
		d.Capabilities = slices.Collect(maps.Values(capabilities))
	}
	return nil
}

func first(values ...*int64) int64 {
	for _, value := range values {
		if value != nil {
			return *value
		}
	}
	return 0
}
