package guard

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
)

// special is a range that is not the public internet.
type special struct {
	prefix netip.Prefix
	what   string
}

// specials lists the ranges that are refused, after the registries of special-purpose addresses.
var specials = sync.OnceValue(func() (out []special) {
	for _, row := range []struct{ prefix, what string }{
		{"0.0.0.0/8", "unspecified"}, {"10.0.0.0/8", "private"}, {"100.64.0.0/10", "shared (carrier-grade NAT)"},
		{"127.0.0.0/8", "loopback"}, {"169.254.0.0/16", "link-local"}, {"172.16.0.0/12", "private"},
		{"192.0.0.0/24", "reserved"}, {"192.0.2.0/24", "documentation"}, {"192.88.99.0/24", "reserved"},
		{"192.168.0.0/16", "private"}, {"198.18.0.0/15", "benchmarking"}, {"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"}, {"224.0.0.0/4", "multicast"}, {"240.0.0.0/4", "reserved"},
		{"::/128", "unspecified"}, {"::1/128", "loopback"}, {"64:ff9b:1::/48", "translated"}, {"100::/64", "discard"},
		{"2001::/23", "reserved (Teredo and others)"}, {"2001:db8::/32", "documentation"}, {"3fff::/20", "documentation"},
		{"5f00::/16", "segment routing"}, {"fc00::/7", "private"}, {"fe80::/10", "link-local"},
		{"fec0::/10", "site-local"}, {"ff00::/8", "multicast"},
	} {
		out = append(out, special{netip.MustParsePrefix(row.prefix), row.what})
	}
	return out
})

// metadata lists addresses at which clouds tell a machine its secrets. Some lie in public ranges,
// and a policy that opens a whole private range does not mean them.
var metadata = sync.OnceValue(func() (out []netip.Addr) {
	for _, s := range []string{"169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"} {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
})

// embedded returns the IPv4 address inside an IPv6 address that is only a way to write one:
// mapped, compatible, 6to4 and NAT64.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if a.Is4() {
		return a, false
	}
	if a.Is4In6() {
		return a.Unmap(), true
	}
	b := a.As16()
	at := func(i int) (netip.Addr, bool) { return netip.AddrFrom4([4]byte(b[i : i+4])), true }
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return at(12)
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return at(2)
	case netip.MustParsePrefix("::/96").Contains(a) && a != netip.IPv6Unspecified() && a != netip.IPv6Loopback():
		return at(12)
	}
	return a, false
}

// checkAddr applies the rules about addresses.
func (p Policy) checkAddr(a netip.Addr) *Refusal {
	outer := a.WithZone("")
	inner, _ := embedded(outer)
	for _, m := range metadata() {
		if inner == m {
			if p.listed(outer, true) || p.listed(inner, true) {
				return nil
			}
			return &Refusal{
				Rule: "address", Target: a.String(), Reason: "this is the metadata service of a cloud, which hands out credentials",
				Mend: fmt.Sprintf("if this is really meant, list %s alone under outbound.private", netip.PrefixFrom(inner, inner.BitLen())),
			}
		}
	}
	if p.listed(outer, false) || p.listed(inner, false) {
		return nil
	}
	for _, s := range specials() {
		if s.prefix.Contains(inner) {
			return &Refusal{
				Rule: "address", Target: a.String(), Reason: "the address is " + s.what + ", not public",
				Mend: fmt.Sprintf("if playbooks should reach it, list it under outbound.private, for example as %s", netip.PrefixFrom(inner, inner.BitLen())),
			}
		}
	}
	return nil
}

// listed says that the policy allows an address, with a range of its own if single.
func (p Policy) listed(a netip.Addr, single bool) bool {
	for _, prefix := range p.AllowPrivate {
		if single && !prefix.IsSingleIP() {
			continue
		}
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// control sees the address that a connection is about to be made to.
func (p Policy) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return &Refusal{Rule: "address", Target: network, Reason: "the connection is not TCP to an address", Mend: "use an https address"}
	}
	if r := p.checkAddr(to.Addr()); r != nil {
		return r
	}
	return nil
}
