package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// image says what a container of that name runs, as the configuration of an OCI image would.
type image struct {
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	Env        map[string]string `json:"env"`
	WorkingDir string            `json:"workingDir"`
	User       *int64            `json:"user"`
	// Folders of the machine that a user without rights has to reach; the way there is opened in the container's view.
	Readable []string `json:"readable"`
}

// findImage looks into the table as it is now, for the name as written, then without tag and digest.
func findImage(path, name string) (image, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return image{}, err
	}
	var table map[string]image
	if err := json.Unmarshal(data, &table); err != nil {
		return image{}, fmt.Errorf("%s: %w", path, err)
	}
	if found, ok := table[name]; ok {
		return found, nil
	}
	bare, _, _ := strings.Cut(name, "@")
	if colon := strings.LastIndexByte(bare, ':'); colon > strings.LastIndexByte(bare, '/') {
		bare = bare[:colon]
	}
	if found, ok := table[bare]; ok {
		return found, nil
	}
	return image{}, fmt.Errorf("image %q is not in the table", name)
}
