package simulator

import (
	"fmt"
	mathrand "math/rand/v2"
	"strings"
)

// mailDomain is the invented organisation's domain; ".example" can never be anybody's.
const mailDomain = "harbourlight.example"

// person is an invented employee.
type person struct {
	name, account, upn, id, sid string
}

// device is an invented computer.
type device struct {
	host, id, entraID, ip, os string
	build                     int
	group                     string
}

// world is the invented organisation the alerts are about.
type world struct {
	people  []person
	devices []device
	scanner []device // the organisation's own vulnerability scanners, in 10.9.0.0/16
}

func newWorld(rng *mathrand.Rand) world {
	var w world
	names := []string{"Amara Okafor", "Jonas Lindqvist", "Mei Tanaka", "Lucía Romero", "Piotr Zieliński", "Fatima al-Rashid",
		"Tom Becker", "Chloé Girard", "Ravi Menon", "Ingrid Solberg", "Daniel Osei", "Yuki Mori", "Elena Petrova", "Noah Fischer",
		"Sofia Marques", "Liam O'Brien", "Hana Novák", "Mateo Silva", "Zara Haddad", "Oskar Nyström"}
	domain := fmt.Sprintf("S-1-5-21-%d-%d-%d", rng.Uint32(), rng.Uint32(), rng.Uint32())
	for i, name := range names {
		account := accountName(name)
		w.people = append(w.people, person{name: name, account: account, upn: account + "@" + mailDomain,
			id: seededUUID(rng), sid: fmt.Sprintf("%s-%d", domain, 1100+i)})
	}
	systems := []struct {
		prefix, os, group string
		build, count      int
	}{
		{"lt-", "Windows11", "Workstations", 26100, 12}, {"ws-", "Windows10", "Workstations", 19045, 6},
		{"srv-app", "WindowsServer2022", "Servers", 20348, 4}, {"srv-db", "WindowsServer2019", "Servers", 17763, 2},
		{"dc", "WindowsServer2022", "Domain controllers", 20348, 2},
	}
	for group, s := range systems {
		for i := range s.count {
			w.devices = append(w.devices, device{host: fmt.Sprintf("%s%02d", s.prefix, i+1), id: hexDigits(rng, 40), entraID: seededUUID(rng),
				ip: fmt.Sprintf("10.20.%d.%d", group+1, 10+i), os: s.os, build: s.build, group: s.group})
		}
	}
	for i := range 3 {
		w.scanner = append(w.scanner, device{host: fmt.Sprintf("vulnscan%02d", i+1), id: hexDigits(rng, 40), entraID: seededUUID(rng),
			ip: fmt.Sprintf("10.9.%d.%d", 1+i, 10+rng.IntN(200)), os: "Linux", build: 0, group: "Security tools"})
	}
	return w
}

// accountName makes an account of a name: first letter and surname, plain ASCII.
func accountName(name string) string {
	first, last, _ := strings.Cut(name, " ")
	plain := strings.NewReplacer("ń", "n", "é", "e", "ö", "o", "á", "a", "í", "i", "'", "", "-", "", " ", "")
	return strings.ToLower(first[:1] + plain.Replace(last))
}

func hexDigits(rng *mathrand.Rand, n int) string {
	digits := make([]byte, n)
	for i := range digits {
		digits[i] = "0123456789abcdef"[rng.IntN(16)]
	}
	return string(digits)
}

// outsideIP is an address from the ranges kept for documentation.
func outsideIP(rng *mathrand.Rand) string {
	return fmt.Sprintf("%s%d", []string{"203.0.113.", "198.51.100.", "192.0.2."}[rng.IntN(3)], 1+rng.IntN(254))
}
