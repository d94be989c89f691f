package graph

import (
	"fmt"
	"strings"
)

// Cloud is one of the national clouds: where tokens come from and where Graph answers.
type Cloud struct {
	Name      string // what configuration calls it
	Authority string // the sign-in service, https
	Graph     string // the base of Graph, https, without a version
	Defender  string // the base of Defender for Endpoint, https; empty where the cloud has none
}

// Clouds lists the clouds that exist. Germany closed in 2021 and is not among them. Defender for Endpoint has one
// address for both of the US government's clouds, and none in China.
func Clouds() []Cloud {
	return []Cloud{
		{Name: "public", Authority: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com",
			Defender: "https://api.securitycenter.microsoft.com"},
		{Name: "usgov-l4", Authority: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us",
			Defender: "https://api-gov.securitycenter.microsoft.us"},
		{Name: "usgov-l5", Authority: "https://login.microsoftonline.us", Graph: "https://dod-graph.microsoft.us",
			Defender: "https://api-gov.securitycenter.microsoft.us"},
		{Name: "china", Authority: "https://login.chinacloudapi.cn", Graph: "https://microsoftgraph.chinacloudapi.cn"},
	}
}

// CloudNamed finds a cloud by its name. No name means the public cloud.
func CloudNamed(name string) (Cloud, error) {
	if name == "" {
		name = "public"
	}
	var names []string
	for _, c := range Clouds() {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Cloud{}, fmt.Errorf("unknown cloud %q: use one of %s", clean(name, maxShown), strings.Join(names, ", "))
}

// orPublic stands in for a cloud that was not set.
func (c Cloud) orPublic() Cloud {
	if c == (Cloud{}) {
		return Clouds()[0]
	}
	return c
}
