package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/playbookd/playbookd/internal/meter"
)

// The limits of /metrics.
const (
	// ScrapeTimeout is how long reading all counts may take.
	ScrapeTimeout = 10 * time.Second
	// MaxScrapes is how many may read at once; more are answered 503.
	MaxScrapes = 3
)

// Readings is where whoever counts puts the counts when somebody asks for them.
type Readings struct {
	described []*prometheus.Desc
	out       chan<- prometheus.Metric
}

// Value reads a counter or a gauge, with a value for each of its labels.
func (r *Readings) Value(m Metric, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	if table[m].Kind == Counter {
		kind = prometheus.CounterValue
	}
	r.put(prometheus.NewConstMetric(r.described[m], kind, value, labels...))
}

// Time reads a gauge that holds a moment; one that never came is 0.
func (r *Readings) Time(m Metric, at time.Time, labels ...string) {
	if at.IsZero() {
		r.Value(m, 0, labels...)
		return
	}
	r.Value(m, float64(at.UnixMilli())/1000, labels...)
}

// Distribution reads a histogram.
func (r *Readings) Distribution(m Metric, d meter.Distribution, labels ...string) {
	buckets, sum := make(map[float64]uint64, len(d.Bounds)), uint64(0)
	for i, bound := range d.Bounds {
		sum += d.Counts[i]
		buckets[bound] = sum
	}
	r.put(prometheus.NewConstHistogram(r.described[m], d.Count(), d.Sum, buckets, labels...))
}

func (r *Readings) put(m prometheus.Metric, err error) {
	if err != nil { // labels that the table does not have: a mistake of ours, which tests see
		m = prometheus.NewInvalidMetric(prometheus.NewDesc("playbookd_invalid", "a reading that the table of metrics does not describe", nil, nil), err)
	}
	r.out <- m
}

// table is Table, made once.
var table = Table()

// collector asks for readings when Prometheus does.
type collector struct {
	described []*prometheus.Desc
	read      func(context.Context, *Readings) error
	checks    *report
}

func newCollector(read func(context.Context, *Readings) error, checks *report) *collector {
	c := &collector{read: read, checks: checks}
	for _, row := range table {
		c.described = append(c.described, prometheus.NewDesc(row.Name, row.Help, row.Labels, nil))
	}
	return c
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.described {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. What can be read is shown, whatever else fails.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), ScrapeTimeout)
	defer cancel()
	r := &Readings{described: c.described, out: out}
	if err := c.safely(ctx, r); err != nil {
		r.put(nil, err)
	}
	for _, check := range c.checks.status(ctx).Checks {
		ok := 0.0
		if check.OK {
			ok = 1
		}
		r.Value(CheckOK, ok, check.Name)
	}
}

// safely makes a panic an error.
func (c *collector) safely(ctx context.Context, r *Readings) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("reading the counts panicked; this is a fault of ours")
		}
	}()
	return c.read(ctx, r)
}

// metricsHandler serves what read gives, with what Go and the operating system know about the
// process.
func (s *Server) metricsHandler(checks *report) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(s.o.Metrics, checks), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: &complaints{s: s}, Timeout: ScrapeTimeout, MaxRequestsInFlight: MaxScrapes,
	}), nil
}

// complaints logs what can't be shown, each thing once.
type complaints struct {
	s *Server

	mu   sync.Mutex
	said map[string]bool
}

// maxComplaints keeps errors that are never the same from filling memory.
const maxComplaints = 100

// Println implements promhttp's logger.
func (c *complaints) Println(v ...any) {
	text := fmt.Sprint(v...)
	c.mu.Lock()
	known := c.said[text] || len(c.said) >= maxComplaints
	if !known {
		if c.said == nil {
			c.said = map[string]bool{}
		}
		c.said[text] = true
	}
	c.mu.Unlock()
	if !known {
		c.s.log.Error("some metrics can't be shown", "err", text)
	}
}
