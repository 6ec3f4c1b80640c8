package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

const (
	// refreshInterval is how often a pod looks whether its token gets old.
	refreshInterval = time.Minute
	defaultMode     = 0o644
	// A token is made anew when this part of its life is over.
	tokenRenewal = 0.8
)

type file struct {
	data []byte
	mode os.FileMode
}

// token is a ServiceAccount token in use; it is kept until it gets old.
type token struct {
	text  string
	renew time.Time
}

func (w *worker) volumeDir(name string) string {
	return filepath.Join(w.dir, "volumes", name)
}

// writeVolumes makes every volume of the pod, or brings it up to date.
func (w *worker) writeVolumes(ctx context.Context) error {
	for i := range w.pod().Spec.Volumes {
		volume := &w.pod().Spec.Volumes[i]
		if err := w.writeVolume(ctx, volume); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

func (w *worker) writeVolume(ctx context.Context, volume *v1.Volume) error {
	dir := w.volumeDir(volume.Name)
	if volume.EmptyDir != nil {
		// Everyone may write there: a kubelet does the same.
		return w.makeDir(dir, 0o777)
	}
	if volume.HostPath != nil {
		return nil
	}
	files, err := w.files(ctx, volume)
	if err != nil {
		return err
	}
	if err := w.makeDir(dir, 0o755); err != nil {
		return err
	}
	return w.replaceFiles(dir, files)
}

func (w *worker) files(ctx context.Context, volume *v1.Volume) (map[string]file, error) {
	switch {
	case volume.Secret != nil:
		s := volume.Secret
		return w.secretFiles(ctx, s.SecretName, s.Items, mode(s.DefaultMode), s.Optional)
	case volume.ConfigMap != nil:
		c := volume.ConfigMap
		return w.configMapFiles(ctx, c.Name, c.Items, mode(c.DefaultMode), c.Optional)
	case volume.DownwardAPI != nil:
		return w.fieldFiles(volume.DownwardAPI.Items, mode(volume.DownwardAPI.DefaultMode))
	case volume.Projected != nil:
		return w.projectedFiles(ctx, volume.Projected)
	}
	return nil, fmt.Errorf("this kind of volume is not implemented")
}

func (w *worker) projectedFiles(ctx context.Context, projected *v1.ProjectedVolumeSource) (map[string]file, error) {
	all := map[string]file{}
	standard := mode(projected.DefaultMode)
	for _, source := range projected.Sources {
		var some map[string]file
		var err error
		switch {
		case source.Secret != nil:
			some, err = w.secretFiles(ctx, source.Secret.Name, source.Secret.Items, standard, source.Secret.Optional)
		case source.ConfigMap != nil:
			c := source.ConfigMap
			some, err = w.configMapFiles(ctx, c.Name, c.Items, standard, c.Optional)
		case source.DownwardAPI != nil:
			some, err = w.fieldFiles(source.DownwardAPI.Items, standard)
		case source.ServiceAccountToken != nil:
			var text string
			text, err = w.token(ctx, source.ServiceAccountToken)
			some = map[string]file{source.ServiceAccountToken.Path: {[]byte(text), w.tokenMode()}}
		default:
			err = fmt.Errorf("this projected source is not implemented")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(all, some)
	}
	return all, nil
}

// tokenMode keeps a token from others when its reader is known, as the real kubelet does.
func (w *worker) tokenMode() os.FileMode {
	if context := w.pod().Spec.SecurityContext; context != nil && context.FSGroup != nil {
		return 0o640
	}
	return defaultMode
}

func (w *worker) secretFiles(
	ctx context.Context, name string, items []v1.KeyToPath, standard os.FileMode, optional *bool,
) (map[string]file, error) {
	found, err := w.secret(ctx, name, optional)
	if err != nil {
		return nil, err
	}
	return chosen(found.Data, items, standard, optional)
}

func (w *worker) configMapFiles(
	ctx context.Context, name string, items []v1.KeyToPath, standard os.FileMode, optional *bool,
) (map[string]file, error) {
	found, err := w.configMap(ctx, name, optional)
	if err != nil {
		return nil, err
	}
	data := maps.Clone(found.BinaryData)
	if data == nil {
		data = map[string][]byte{}
	}
	for key, text := range found.Data {
		data[key] = []byte(text)
	}
	return chosen(data, items, standard, optional)
}

func chosen(data map[string][]byte, items []v1.KeyToPath, standard os.FileMode, optional *bool) (map[string]file, error) {
	files := map[string]file{}
	if items == nil {
		for key, value := range data {
			files[key] = file{value, standard}
		}
		return files, nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if isTrue(optional) {
				continue
			}
			return nil, fmt.Errorf("there is no key %s", item.Key)
		}
		files[item.Path] = file{value, itemMode(item.Mode, standard)}
	}
	return files, nil
}

func (w *worker) fieldFiles(items []v1.DownwardAPIVolumeFile, standard os.FileMode) (map[string]file, error) {
	files := map[string]file{}
	for _, item := range items {
		var text string
		var err error
		if item.FieldRef != nil {
			text, err = w.field(item.FieldRef.FieldPath)
		} else if c := w.container(item.ResourceFieldRef.ContainerName); c != nil {
			text, err = resourceField(c, item.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		files[item.Path] = file{[]byte(text), itemMode(item.Mode, standard)}
	}
	return files, nil
}

func (w *worker) token(ctx context.Context, projection *v1.ServiceAccountTokenProjection) (string, error) {
	kept := w.tokens[projection.Path]
	if time.Now().Before(kept.renew) {
		return kept.text, nil
	}
	pod := w.pod()
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{
		ExpirationSeconds: projection.ExpirationSeconds,
		BoundObjectRef:    &authentication.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if projection.Audience != "" {
		request.Spec.Audiences = []string{projection.Audience}
	}
	accounts := w.kubelet.client.CoreV1().ServiceAccounts(pod.Namespace)
	answer, err := accounts.CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	life := time.Until(answer.Status.ExpirationTimestamp.Time)
	w.tokens[projection.Path] = token{answer.Status.Token, time.Now().Add(time.Duration(float64(life) * tokenRenewal))}
	return answer.Status.Token, nil
}

// refreshVolumes follows changes of mounted objects until the pod ends. The real kubelet may take a minute for it; tests
// have less patience.
func (w *worker) refreshVolumes(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.mountedChanged:
		}
		if err := w.writeVolumes(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "volumes stay as they are", "pod", w.key)
		}
	}
}

// mountsObject says whether a volume of the pod shows the Secret or ConfigMap.
func (w *worker) mountsObject(object metav1.Object) bool {
	_, isSecret := object.(*v1.Secret)
	is := func(secret bool, name string) bool { return secret == isSecret && name == object.GetName() }
	for _, volume := range w.pod().Spec.Volumes {
		if volume.Secret != nil && is(true, volume.Secret.SecretName) ||
			volume.ConfigMap != nil && is(false, volume.ConfigMap.Name) {
			return true
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil && is(true, source.Secret.Name) ||
				source.ConfigMap != nil && is(false, source.ConfigMap.Name) {
				return true
			}
		}
	}
	return false
}

// replaceFiles puts files into a volume so that a reader sees the old ones or the new ones, never some of both: names in
// the volume are links through ..data, which is replaced by a rename.
func (w *worker) replaceFiles(dir string, files map[string]file) error {
	if sameFiles(filepath.Join(dir, "..data"), files) {
		return nil
	}
	fresh, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := w.makeDir(fresh, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(fresh, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content.data, content.mode); err != nil {
			return err
		}
		if err := w.own(path, content.mode); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "..data")
	old, _ := os.Readlink(data)
	next := filepath.Join(dir, "..next")
	if err := os.Symlink(filepath.Base(fresh), next); err != nil {
		return err
	}
	if err := os.Rename(next, data); err != nil {
		return err
	}
	if err := linkNames(dir, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(dir, old))
	}
	return nil
}

// linkNames makes the links that are missing and removes those of files that are gone.
func linkNames(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		wanted[first] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if name := entry.Name(); !strings.HasPrefix(name, "..") && !wanted[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
		if err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

func sameFiles(dir string, files map[string]file) bool {
	count := 0
	err := filepath.WalkDir(dir+"/", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		count++
		return nil
	})
	if err != nil || count != len(files) {
		return false
	}
	for name, content := range files {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(data) != string(content.data) {
			return false
		}
	}
	return true
}

func (w *worker) makeDir(dir string, mode os.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return w.own(dir, mode)
}

// own gives a path of a volume to the group of the pod's volumes, if it has one. The mode is set whatever the umask is.
func (w *worker) own(path string, mode os.FileMode) error {
	if context := w.pod().Spec.SecurityContext; context != nil && context.FSGroup != nil {
		if err := os.Chown(path, 0, int(*context.FSGroup)); err != nil {
			return err
		}
		mode |= (mode & 0o600) >> 3
	}
	return os.Chmod(path, mode)
}

func (w *worker) container(name string) *v1.Container {
	spec := &w.pod().Spec
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return &spec.Containers[i]
		}
	}
	return nil
}

func mode(value *int32) os.FileMode {
	if value == nil {
		return defaultMode
	}
	return os.FileMode(*value)
}

func itemMode(value *int32, standard os.FileMode) os.FileMode {
	if value == nil {
		return standard
	}
	return os.FileMode(*value)
}

// uid tells two pods of the same name apart.
type podKey struct {
	namespace, name string
	uid             types.UID
}

func (k podKey) String() string { return k.namespace + "/" + k.name }
