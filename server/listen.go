package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// capped is a listener that has no more than so many connections open.
type capped struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newCapped(ln net.Listener, most int) *capped {
	return &capped{Listener: ln, slots: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept waits for a free place before it takes a connection.
func (c *capped) Accept() (net.Conn, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.slots
		return nil, err
	}
	return &place{Conn: conn, leave: func() { <-c.slots }}, nil
}

// Close ends Accept.
func (c *capped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// place is a connection that gives back its place when it is closed, once.
type place struct {
	net.Conn
	leave func()
	once  sync.Once
}

func (p *place) Close() error {
	defer p.once.Do(p.leave)
	return p.Conn.Close()
}

// KeyPairAge is how often the files of a certificate are looked at for a change.
const KeyPairAge = time.Minute

// keyPair is a certificate that follows its files, so that a renewed one needs no restart.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string // of the files that current was read from
	looked  time.Time
}

func loadKeyPair(certFile, keyFile string, log *slog.Logger) (*keyPair, error) {
	k := &keyPair{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := k.stampNow()
	if err != nil {
		return nil, err
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	k.current, k.stamp, k.looked = &cert, stamp, time.Now()
	return k, nil
}

// stampNow tells versions of the files apart.
func (k *keyPair) stampNow() (string, error) {
	stamp := ""
	for _, name := range []string{k.certFile, k.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return "", fmt.Errorf("TLS certificate: %w", err)
		}
		stamp += fmt.Sprintf("%d/%d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, nil
}

// certificate is the one in use. If the files can't be read, perhaps because they are being
// replaced, the last good one stays.
func (k *keyPair) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.looked) < KeyPairAge {
		return k.current, nil
	}
	k.looked = time.Now()
	stamp, err := k.stampNow()
	if err == nil && stamp == k.stamp {
		return k.current, nil
	}
	var cert tls.Certificate
	if err == nil {
		cert, err = tls.LoadX509KeyPair(k.certFile, k.keyFile)
	}
	if err != nil {
		k.log.Error("the renewed TLS certificate can't be read; the last one stays in use", "err", err)
		return k.current, nil
	}
	k.current, k.stamp = &cert, stamp
	k.log.Info("the renewed TLS certificate is in use")
	return k.current, nil
}
