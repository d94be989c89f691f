package expression

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

func securityFunctions() []function {
	return []function{
		{name: "inCIDR", summary: "whether an address is in a range or in one of a list of ranges; what is not an address is in none",
			params: []param{need("address", Text), need("ranges", Any)}, typ: Bool, call: inCIDR},
		{name: "techniqueIn", summary: "whether a MITRE ATT&CK technique is one of a list, or a sub-technique of one: T1003.001 is in T1003",
			params: []param{need("technique", Text), need("techniques", Any)}, typ: Bool, call: techniqueIn},
		{name: "glob", summary: "whether text as a whole fits a pattern in which * stands for any characters and ? for one",
			params: []param{need("text", Text), need("pattern", Text)}, typ: Bool, call: glob},
		{name: "defang", summary: "a URL, address or domain that nobody can click on: hxxps://evil[.]example", params: []param{need("text", Text)}, typ: Text, call: defang},
		{name: "hash", summary: "the SHA-256 of text, in hexadecimal", params: []param{need("text", Text)}, typ: Text, call: hash},
		{name: "domainOf", summary: "the domain of a URL, an e-mail address or a host name, in small letters; nil if there is none", params: []param{need("text", Text)}, typ: Text, call: domainOf},
	}
}

// inCIDR never fails for the address, which comes from an alert, and always fails for a range that is none,
// which comes from the author. All ranges are looked at, so a broken one shows whatever the address is.
func inCIDR(m *meter, args []any) (any, error) {
	ranges, err := oneOrMore(args[1])
	if err != nil {
		return nil, err
	}
	if err := m.spend(2 * len(ranges)); err != nil {
		return nil, err
	}
	text, _ := args[0].(string)
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	valid := err == nil
	addr = addr.Unmap().WithZone("")
	found := false
	for _, r := range ranges {
		prefix, err := parseRange(r)
		if err != nil {
			return nil, err
		}
		found = found || valid && prefix.Contains(addr)
	}
	return found, nil
}

// oneOrMore reads a list, or a single text as a list of one.
func oneOrMore(v any) ([]any, error) {
	if s, ok := v.(string); ok {
		return []any{s}, nil
	}
	return list(v)
}

// parseRange reads a range, or an address as a range of one.
func parseRange(v any) (netip.Prefix, error) {
	s, ok := v.(string)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("a range is text, not %s", describe(v))
	}
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("%s is not a range; write 10.9.0.0/16", quoted(s))
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not a range; write 10.9.0.0/16", quoted(s))
	}
	return prefix, nil
}

func techniqueIn(m *meter, args []any) (any, error) {
	id, err := textArg(args[0])
	if err != nil || id == "" {
		return false, err
	}
	techniques, err := oneOrMore(args[1])
	if err != nil {
		return nil, err
	}
	if err := m.spend(len(techniques)); err != nil {
		return nil, err
	}
	for _, t := range techniques {
		s, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("a technique is text, not %s", describe(t))
		}
		if len(s) > 0 && len(id) >= len(s) && strings.EqualFold(id[:len(s)], s) && (len(id) == len(s) || id[len(s)] == '.') {
			return true, nil
		}
	}
	return false, nil
}

func glob(m *meter, args []any) (any, error) {
	text, pattern, ok, err := twoTexts(m, "glob", args[0], args[1])
	if err != nil || !ok {
		return false, err
	}
	// Each * may look at the whole text again.
	stars := 1 + strings.Count(pattern, "*")
	if err := m.spend(stars * (1 + len(text)/8)); err != nil {
		return nil, err
	}
	return globMatch([]rune(text), []rune(pattern)), nil
}

// globMatch goes back to the last * only, which is enough and keeps it quadratic at worst.
func globMatch(text, pattern []rune) bool {
	t, p, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func defang(m *meter, args []any) (any, error) {
	return onText(func(s string) string {
		scheme, rest, found := strings.Cut(s, "://")
		if found {
			scheme = strings.NewReplacer("http", "hxxp", "HTTP", "hxxp", "ftp", "fxp", "FTP", "fxp").Replace(scheme) + "://"
		} else {
			scheme, rest = "", s
		}
		// Only the host could be clicked; dots in the path may stay readable.
		host, path := rest, ""
		if at := strings.IndexAny(rest, "/?#"); at >= 0 {
			host, path = rest[:at], rest[at:]
		}
		return scheme + strings.NewReplacer(".", "[.]", "@", "[@]", ":", "[:]").Replace(host) + path
	})(m, args)
}

func hash(m *meter, args []any) (any, error) {
	if args[0] == nil {
		return nil, nil
	}
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	if err := m.read(s, s, s, s); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:]), nil
}

func domainOf(m *meter, args []any) (any, error) {
	s, err := textArg(args[0])
	if err != nil {
		return nil, err
	}
	if err := m.write(len(s)); err != nil {
		return nil, err
	}
	if d := domain(s); d != "" {
		return d, nil
	}
	return nil, nil
}

func domain(s string) string {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		s = u.Hostname()
	} else {
		if at := strings.LastIndexByte(s, '@'); at >= 0 {
			s = s[at+1:]
		}
		s, _, _ = strings.Cut(s, "/")
		s, _, _ = strings.Cut(s, ":")
	}
	s = strings.ToLower(strings.Trim(s, ".<>[]"))
	if strings.ContainsAny(s, " \t\r\n\"'") || !strings.Contains(s, ".") {
		return ""
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	return s
}
