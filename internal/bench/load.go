package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// template is an alert whose id and severity are filled in.
type template struct{ low, high []string }

func newTemplate(text string) template {
	return template{
		low:  strings.Split(strings.ReplaceAll(text, "{severity}", "low"), "{id}"),
		high: strings.Split(strings.ReplaceAll(text, "{severity}", "high"), "{id}"),
	}
}

func (t template) body(id string, s scenario) []byte {
	if s.matches() {
		return []byte(strings.Join(t.low, id))
	}
	return []byte(strings.Join(t.high, id))
}

// sender delivers webhooks over connections that it keeps.
type sender struct {
	b      *bench
	client *http.Client
	url    string
	s      scenario
}

func (b *bench) sender(p *process, s scenario) *sender {
	return &sender{b: b, s: s, url: p.urls["http"] + "/webhooks/edr", client: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256},
	}}
}

// send delivers one alert and asks that it was taken.
func (d *sender) send(ctx context.Context, id string) error {
	body := d.b.alert.body(id, d.s)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, d.b.key)
	mac.Write([]byte(id + "." + now + "."))
	mac.Write(body)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", now)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusAccepted || !bytes.HasPrefix(answer, []byte(`{"accepted":1`))) {
		err = fmt.Errorf("the webhook answered %d: %s", resp.StatusCode, answer)
	}
	return err
}

// ids names alerts that were never sent before.
func (b *bench) ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		b.serial++
		list[i] = fmt.Sprintf("da%018d_%d", b.serial, b.serial%97)
	}
	return list
}

// flood sends alerts as fast as the program takes them.
func (d *sender) flood(ctx context.Context, ids []string) error {
	defer d.client.CloseIdleConnections()
	var next atomic.Int64
	errs := make([]error, d.b.senders)
	var all sync.WaitGroup
	for i := range d.b.senders {
		all.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= int64(len(ids)) {
					return
				}
				if errs[i] = d.send(ctx, ids[n]); errs[i] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// steadily sends alerts at a pace, whether or not the program keeps up, and tells when each left.
func (d *sender) steadily(ctx context.Context, ids []string) (map[string]time.Time, error) {
	left := make(map[string]time.Time, len(ids))
	errs := make([]error, len(ids))
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	var all sync.WaitGroup
	for i, id := range ids {
		<-tick.C
		left[id] = time.Now()
		all.Go(func() { errs[i] = d.send(ctx, id) })
	}
	all.Wait()
	return left, errors.Join(errs...)
}

// arrivals takes from the target when the PATCHes of each alert arrived, and asks that each of
// those that were sent got as many as it should, and nothing else did.
func (b *bench) arrivals(ctx context.Context, ids []string, each int) (map[string][]int64, error) {
	text, err := get(ctx, b.target.urls["http"]+"/arrived")
	if err != nil {
		return nil, err
	}
	var arrived map[string][]int64
	if err := json.Unmarshal(text, &arrived); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if len(arrived[id]) != each {
			return nil, fmt.Errorf("alert %s got %d PATCHes instead of %d", id, len(arrived[id]), each)
		}
	}
	if each > 0 && len(arrived) != len(ids) || each == 0 && len(arrived) > 0 {
		return nil, fmt.Errorf("%d alerts got a PATCH instead of %d", len(arrived), len(ids))
	}
	return arrived, nil
}
