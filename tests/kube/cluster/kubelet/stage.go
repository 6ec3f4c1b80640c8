package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// containerStage is the first argument of this program when it is on its way to become a container.
const containerStage = "container"

// stageExit says that the container could not be made.
const stageExit = 128

// specFile is the descriptor on which the specification arrives; on failureFile goes the reason why there is no container.
// It is closed when the program takes over.
const (
	specFile    = 3
	failureFile = 4
)

type mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// containerSpec is all that the stage has to know; it has no access to the API server.
type containerSpec struct {
	// Root is an empty folder of this container, on a file system that an overlay can be written to.
	Root string
	// Hidden is the mount that the container does not see.
	Hidden       string
	Hostname     string
	Hosts        string
	Mounts       []mount
	Readable     []string
	ReadOnlyRoot bool
	Command      []string
	Env          []string
	WorkingDir   string
	User         int
	Group        int
	Groups       []int
	Capabilities []int
	NoNewPrivs   bool
}

// runContainerStage makes the container around the process it is in and becomes its program. It is process 1 of its own
// pid namespace, alone in its mount, host name and IPC namespaces, and in the network namespace of its pod.
func runContainerStage() {
	runtime.LockOSThread()
	var spec containerSpec
	unix.CloseOnExec(failureFile)
	source := os.NewFile(specFile, "specification")
	err := json.NewDecoder(source).Decode(&spec)
	_ = source.Close()
	if err == nil {
		err = become(&spec)
	}
	fmt.Fprint(os.NewFile(failureFile, "failure"), err)
	os.Exit(stageExit)
}

func become(spec *containerSpec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := buildRoot(spec); err != nil {
		return err
	}
	if err := os.MkdirAll(spec.WorkingDir, 0o755); err != nil {
		return err
	}
	if err := os.Chdir(spec.WorkingDir); err != nil {
		return err
	}
	program, err := findProgram(spec)
	if err != nil {
		return err
	}
	if err := dropRights(spec); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", program, unix.Exec(program, spec.Command, spec.Env))
}

// buildRoot makes a writable view of the machine's root file system with the pod's volumes in it, and goes there.
func buildRoot(spec *containerSpec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	root := filepath.Join(spec.Root, "root")
	if err := overlay(spec, "/", root); err != nil {
		return err
	}
	views, err := viewMounts(spec, root)
	if err != nil {
		return err
	}
	if err := writeNames(spec, root); err != nil {
		return err
	}
	for _, path := range spec.Readable {
		if err := openWay(root, path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, spec.WorkingDir), 0o755); err != nil {
		return err
	}
	targets := make([]string, len(spec.Mounts))
	for i, m := range spec.Mounts {
		if targets[i], err = mountPoint(root, m); err != nil {
			return err
		}
	}
	if spec.ReadOnlyRoot {
		for _, view := range append(views, root) {
			if err := unix.Mount("", view, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
				return fmt.Errorf("read-only root: %w", err)
			}
		}
	}
	hidden, err := openHidden(spec, root)
	if err != nil {
		return err
	}
	for i, m := range spec.Mounts {
		if err := bind(m, targets[i]); err != nil {
			return err
		}
	}
	for _, folder := range hidden {
		if err := folder.showAgain(); err != nil {
			return err
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	// The old root lies over the new one now.
	return unix.Unmount(".", unix.MNT_DETACH)
}

func overlay(spec *containerSpec, lower, target string) error {
	upper, err := os.MkdirTemp(spec.Root, "upper")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(spec.Root, "work")
	if err != nil {
		return err
	}
	info, err := os.Stat(lower)
	if err != nil {
		return err
	}
	if err := os.Chmod(upper, info.Mode()); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay of %s: %w", lower, err)
	}
	return nil
}

// viewMounts brings what is mounted below the machine's root into the view, writable for the container only. It returns
// the views that it made.
func viewMounts(spec *containerSpec, root string) ([]string, error) {
	points, err := mountPoints()
	if err != nil {
		return nil, err
	}
	var views, done []string
	for _, point := range points {
		target := filepath.Join(root, point)
		within := func(parent string) bool { return point == parent || strings.HasPrefix(point, parent+"/") }
		switch {
		case point == "/" || slices.ContainsFunc(done, within):
			continue
		case point == "/proc":
			err = unix.Mount("proc", target, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		case point == "/dev" || point == "/sys":
			err = unix.Mount(point, target, "", unix.MS_BIND|unix.MS_REC, "")
		case point == spec.Hidden:
			// The kubelet's own files are nothing to a container.
		default:
			if info, statErr := os.Stat(point); statErr != nil || !info.IsDir() || overlay(spec, point, target) != nil {
				err = nil // A file, or what cannot be shown in this way: the container goes without.
				continue
			}
			views = append(views, target)
			// What is mounted below this one is looked at for itself.
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", point, err)
		}
		done = append(done, point)
	}
	return views, nil
}

// mountPoints lists the machine's mounts, parents before children.
func mountPoints() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		points = append(points, strings.ReplaceAll(strings.Fields(line)[4], `\040`, " "))
	}
	slices.Sort(points)
	return slices.Compact(points), nil
}

// writeNames gives the container the names of its pod. There is no DNS: who asks is told so at once, by a closed port.
func writeNames(spec *containerSpec, root string) error {
	for name, text := range map[string]string{
		"/etc/hosts": spec.Hosts, "/etc/hostname": spec.Hostname + "\n", "/etc/resolv.conf": "nameserver 127.0.0.1\n",
	} {
		path := filepath.Join(root, name)
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// openWay lets everyone pass the folders above path, in the container's view only.
func openWay(root, path string) error {
	for parent := path; parent != "/" && parent != "."; parent = filepath.Dir(parent) {
		inside := filepath.Join(root, parent)
		info, err := os.Stat(inside)
		if err != nil {
			return fmt.Errorf("readable: %w", err)
		}
		if info.IsDir() && info.Mode().Perm()&0o005 != 0o005 {
			if err := os.Chmod(inside, info.Mode()|0o055); err != nil {
				return err
			}
		}
	}
	return nil
}

// hiddenFolder is part of an image and lies below the mount point of a volume. No image has such a thing; here, the files of
// images are where the machine has them, /tmp perhaps.
type hiddenFolder struct {
	file   *os.File
	target string
}

func openHidden(spec *containerSpec, root string) ([]hiddenFolder, error) {
	var found []hiddenFolder
	for _, path := range spec.Readable {
		below := func(m mount) bool { return strings.HasPrefix(path, strings.TrimSuffix(m.Target, "/")+"/") }
		if !slices.ContainsFunc(spec.Mounts, below) {
			continue
		}
		target := filepath.Join(root, path)
		file, err := os.OpenFile(target, unix.O_PATH, 0)
		if err != nil {
			return nil, err
		}
		found = append(found, hiddenFolder{file, target})
	}
	return found, nil
}

func (h hiddenFolder) showAgain() error {
	defer h.file.Close()
	if err := os.MkdirAll(h.target, 0o755); err != nil {
		return err
	}
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", h.file.Fd()), h.target, "", unix.MS_BIND|unix.MS_REC, "")
}

// mountPoint makes the place for a mount within root, whatever links lead there.
func mountPoint(root string, m mount) (string, error) {
	target, err := securejoin.SecureJoin(root, m.Target)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(m.Source)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return target, os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	place, err := os.OpenFile(target, os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	return target, place.Close()
}

func bind(m mount, target string) error {
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	if m.ReadOnly {
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("mount %s read-only: %w", m.Target, err)
		}
	}
	return nil
}

func findProgram(spec *containerSpec) (string, error) {
	for _, variable := range spec.Env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			if err := os.Setenv("PATH", path); err != nil {
				return "", err
			}
		}
	}
	program, err := exec.LookPath(spec.Command[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil
	}
	return program, err
}

// dropRights leaves the capabilities that the container may have, and the user's.
func dropRights(spec *containerSpec) error {
	if spec.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	for capability := 0; ; capability++ {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0); err != nil {
			break
		} else if has == 0 || slices.Contains(spec.Capabilities, capability) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil {
			return fmt.Errorf("capability %d: %w", capability, err)
		}
	}
	// A program may open /dev/stdout anew.
	for _, output := range []int{1, 2} {
		if err := syscall.Fchown(output, spec.User, spec.Group); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
	if err := syscall.Setgroups(spec.Groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setresgid(spec.Group, spec.Group, spec.Group); err != nil {
		return fmt.Errorf("group: %w", err)
	}
	// Root's rights after exec are those of the bounding set; another user has none.
	if err := syscall.Setresuid(spec.User, spec.User, spec.User); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	return nil
}
