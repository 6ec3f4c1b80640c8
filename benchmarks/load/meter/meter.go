// Package meter runs one loop per connection for some time and prints what came of it as one JSON object.
package meter

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Flags that every load generator has.
var (
	Address     = flag.String("address", "127.0.0.1:8080", "of the gateway")
	Host        = flag.String("host", "bench.example", "value of the Host field")
	Path        = flag.String("path", "/", "of the requests")
	connections = flag.Int("connections", 64, "at the same time")
	duration    = flag.Duration("duration", time.Second, "of the load")
)

// Timeout of every single step.
const Timeout = 10 * time.Second

type result struct {
	Done    int     `json:"done"`
	Errors  int     `json:"errors"`
	Seconds float64 `json:"seconds"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Detail  string  `json:"detail"`
	Error   string  `json:"error"`
}

// A Worker does one thing again and again; Step is one of them.
type Worker interface {
	Step() error
	Detail() string
}

// Run calls Step of one worker per connection until the time is over. After an error a new worker takes over.
func Run(start func() (Worker, error)) {
	var lock sync.Mutex
	var all []time.Duration
	var total result
	began := time.Now()
	end := began.Add(*duration)
	var group sync.WaitGroup
	for range *connections {
		group.Go(func() {
			took, errors, detail, last := loop(start, end)
			lock.Lock()
			defer lock.Unlock()
			all = append(all, took...)
			total.Errors += errors
			if detail != "" {
				total.Detail = detail
			}
			if last != nil {
				total.Error = last.Error()
			}
		})
	}
	group.Wait()
	total.Seconds = time.Since(began).Seconds()
	total.Done = len(all)
	if len(all) > 0 {
		slices.Sort(all)
		total.P50 = milliseconds(all[len(all)/2])
		total.P99 = milliseconds(all[len(all)*99/100])
	}
	text, err := json.Marshal(total)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, string(text))
}

func loop(start func() (Worker, error), end time.Time) (took []time.Duration, errors int, detail string, last error) {
	for time.Now().Before(end) {
		worker, err := start()
		for err == nil && time.Now().Before(end) {
			began := time.Now()
			if err = worker.Step(); err == nil {
				took = append(took, time.Since(began))
				detail = worker.Detail()
			}
		}
		if err != nil {
			errors++
			last = err
			time.Sleep(10 * time.Millisecond)
		}
	}
	return
}

func milliseconds(value time.Duration) float64 {
	return float64(value.Nanoseconds()) / 1e6
}
