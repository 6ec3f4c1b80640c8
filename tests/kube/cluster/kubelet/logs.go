package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// followInterval is how often a growing log is looked at.
const followInterval = 50 * time.Millisecond

// logWriter is the log of one run: standard output and error of a container in the order of their arrival.
type logWriter struct {
	lock sync.Mutex
	file *os.File
}

func (l *logWriter) Write(data []byte) (int, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.file.Write(data)
}

func (w *worker) logsDir() string {
	return filepath.Join(w.kubelet.logsDir(), w.key.namespace, w.key.name, string(w.key.uid))
}

// serveLogs is the part of a kubelet's API that the API server asks for pods/log.
func (k *kubelet) serveLogs(ctx context.Context) error {
	certificate, err := tls.LoadX509KeyPair(k.certificate, k.key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(k.network.node.String(), strconv.Itoa(k.port)))
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.answerLogs)
	server := &http.Server{
		Handler: routes, ReadHeaderTimeout: time.Minute,
		TLSConfig:   &tls.Config{Certificates: []tls.Certificate{certificate}},
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() {
		if err := server.ServeTLS(listener, "", ""); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "log server")
		}
	}()
	return nil
}

func (k *kubelet) answerLogs(answer http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	for _, name := range []string{"sinceSeconds", "sinceTime", "timestamps"} {
		if value := query.Get(name); value != "" && value != "false" {
			http.Error(answer, name+" is not implemented by the kubelet of the tests", http.StatusNotImplemented)
			return
		}
	}
	file, err := k.findLog(request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container"),
		query.Get("previous") == "true")
	if err != nil {
		http.Error(answer, err.Error(), http.StatusNotFound)
		return
	}
	defer file.Close()
	if lines, err := strconv.Atoi(query.Get("tailLines")); err == nil {
		if err := seekLines(file, lines); err != nil {
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	var source io.Reader = file
	if limit, err := strconv.ParseInt(query.Get("limitBytes"), 10, 64); err == nil {
		source = io.LimitReader(file, limit)
	}
	_, err = io.Copy(answer, source)
	for err == nil && query.Get("follow") == "true" && pause(request.Context(), followInterval) {
		http.NewResponseController(answer).Flush()
		ended := !k.runs(request.PathValue("namespace"), request.PathValue("pod"), request.PathValue("container"))
		if _, err = io.Copy(answer, source); ended {
			return
		}
	}
}

func (k *kubelet) runs(namespace, pod, container string) bool {
	w := k.workerOf(namespace, pod)
	if w == nil {
		return false
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, c := range slices.Concat(w.initial, w.running) {
		if c.name == container {
			return c.state.Running != nil
		}
	}
	return false
}

// findLog opens the log of the last run of a container, or of the one before. Logs outlive their pods; the newest pod of the
// name is meant.
func (k *kubelet) findLog(namespace, pod, container string, previous bool) (*os.File, error) {
	for _, name := range []string{namespace, pod, container} {
		if !filepath.IsLocal(name) || strings.Contains(name, "/") {
			return nil, fmt.Errorf("%q is no name", name)
		}
	}
	pods := newest(filepath.Join(k.logsDir(), namespace, pod))
	if len(pods) == 0 {
		return nil, fmt.Errorf("pod %s/%s has no logs", namespace, pod)
	}
	runs, _ := os.ReadDir(filepath.Join(pods[0], container))
	last := len(runs) - 1
	if previous {
		last--
	}
	if last < 0 {
		return nil, fmt.Errorf("container %s of pod %s/%s has no log", container, namespace, pod)
	}
	return os.Open(filepath.Join(pods[0], container, logName(last)))
}

// logName counts the runs of a container from 0.
func logName(run int) string { return fmt.Sprintf("%d.log", run) }

// newest lists the entries of a folder by the time of their last change.
func newest(dir string) []string {
	entries, _ := os.ReadDir(dir)
	times := map[string]time.Time{}
	var paths []string
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			path := filepath.Join(dir, entry.Name())
			paths = append(paths, path)
			times[path] = info.ModTime()
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return times[b].Compare(times[a]) })
	return paths
}

// seekLines goes to the beginning of the last lines.
func seekLines(file *os.File, lines int) error {
	data, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	start := len(bytes.TrimSuffix(data, []byte("\n")))
	for ; lines > 0 && start >= 0; lines-- {
		start = bytes.LastIndexByte(data[:start], '\n')
	}
	_, err = file.Seek(int64(start+1), io.SeekStart)
	return err
}
