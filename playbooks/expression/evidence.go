package expression

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The functions in this file collect the evidence of one kind from an alert, from all alerts of an incident,
// or from a list of alerts. Only evidence of that very kind counts: ips are the addresses that Defender lists
// as evidence, not every address that occurs somewhere, because what follows may be an isolation or a closed
// alert. The order is that of the evidence; what was there before is left out.

// evidenceTypePrefix starts the @odata.type of all evidence.
const evidenceTypePrefix = "#microsoft.graph.security."

func evidenceFunctions() []function {
	return []function{
		evidence("ips", "the addresses in the evidence", Text, ofIP, "ipEvidence"),
		evidence("users", "the users in the evidence", textFields("accountName", "domainName", "userPrincipalName",
			"azureAdUserId", "userSid", "displayName"), ofUser, "userEvidence"),
		evidence("devices", "the devices in the evidence", deviceType(), ofDevice, "deviceEvidence"),
		evidence("files", "the files in the evidence", fileType("mdeDeviceId", "detectionStatus"), ofFile, "fileEvidence"),
		evidence("urls", "the URLs in the evidence", Text, ofURL, "urlEvidence"),
		evidence("mails", "the mails in the evidence", textFields("networkMessageId", "internetMessageId", "recipient", "sender",
			"senderIp", "subject", "deliveryAction", "deliveryLocation"), ofMail, "analyzedMessageEvidence"),
		evidence("processes", "the processes in the evidence", processType(), ofProcess, "processEvidence"),
	}
}

// evidence makes one of the functions. Verdict and remediation belong to the evidence, not to the thing, and
// are left out: they would make two entries of one address.
func evidence(name, summary string, item Type, read func(e map[string]any) any, kind string) function {
	return function{
		name: name, summary: summary + " of an alert or incident",
		params: []param{need("alert", Any)}, typ: List(item),
		call: func(m *meter, args []any) (any, error) {
			alerts, err := alertsOf(args[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return collect(m, alerts, evidenceTypePrefix+kind, read)
		},
	}
}

// alertsOf accepts an alert, an incident with its alerts, or a list of alerts.
func alertsOf(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case map[string]any:
		if alerts, ok := v["alerts"].([]any); ok {
			return alerts, nil
		}
		return []any{v}, nil
	}
	return nil, fmt.Errorf("an alert or incident is needed, this is %s", describe(v))
}

// collect reads the evidence of one kind. Evidence that is not as Graph describes it is passed over.
func collect(m *meter, alerts []any, kind string, read func(map[string]any) any) (any, error) {
	out := []any{}
	seen := map[string]bool{}
	for _, a := range alerts {
		alert, _ := a.(map[string]any)
		entries, _ := alert["evidence"].([]any)
		if err := m.spend(1 + len(entries)); err != nil {
			return nil, err
		}
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			if t, _ := entry["@odata.type"].(string); !strings.EqualFold(t, kind) {
				continue
			}
			thing := read(entry)
			key, err := json.Marshal(thing)
			if thing == nil || err != nil || seen[string(key)] {
				continue
			}
			if err := m.write(len(key)); err != nil {
				return nil, err
			}
			seen[string(key)] = true
			out = append(out, thing)
		}
	}
	return out, nil
}

// textFields is an object whose fields are all text.
func textFields(names ...string) Type {
	fields := make(map[string]Type, len(names))
	for _, name := range names {
		fields[name] = Text
	}
	return Object(fields)
}

// pick copies fields that hold single values; a missing one is nil. Nothing at all is no thing.
func pick(from map[string]any, names ...string) map[string]any {
	out := make(map[string]any, len(names))
	found := false
	for _, name := range names {
		switch v := from[name].(type) {
		case nil, map[string]any, []any:
			out[name] = nil
		default:
			out[name] = v
			found = true
		}
	}
	if !found {
		return nil
	}
	return out
}

func object(from map[string]any, name string) map[string]any {
	o, _ := from[name].(map[string]any)
	return o
}

// firstText is the first of some fields that holds text.
func firstText(from map[string]any, names ...string) any {
	for _, name := range names {
		if s, ok := from[name].(string); ok && s != "" {
			return s
		}
	}
	return nil
}

func ofIP(e map[string]any) any  { return firstText(e, "ipAddress") }
func ofURL(e map[string]any) any { return firstText(e, "url") }

func ofUser(e map[string]any) any {
	user := pick(object(e, "userAccount"), "accountName", "domainName", "userPrincipalName", "azureAdUserId", "userSid", "displayName")
	if user == nil {
		return nil
	}
	return user
}

func deviceType() Type {
	t := textFields("name", "hostName", "deviceDnsName", "mdeDeviceId", "azureAdDeviceId", "ntDomain", "dnsDomain",
		"osPlatform", "version", "healthStatus", "riskScore", "onboardingStatus", "defenderAvStatus",
		"lastIpAddress", "lastExternalIpAddress", "rbacGroupName")
	return t
}

func ofDevice(e map[string]any) any {
	device := pick(e, "hostName", "deviceDnsName", "mdeDeviceId", "azureAdDeviceId", "ntDomain", "dnsDomain", "osPlatform",
		"version", "healthStatus", "riskScore", "onboardingStatus", "defenderAvStatus", "lastIpAddress",
		"lastExternalIpAddress", "rbacGroupName")
	if device == nil {
		return nil
	}
	device["name"] = firstText(e, "deviceDnsName", "hostName", "mdeDeviceId", "azureAdDeviceId")
	return device
}

var fileFields = []string{"fileName", "filePath", "fileSize", "filePublisher", "issuer", "signer", "md5", "sha1", "sha256"}

func fileType(more ...string) Type {
	t := textFields(append(append([]string{}, fileFields...), more...)...)
	t.shape.fields["fileSize"] = Int
	return t
}

func ofFile(e map[string]any) any {
	file := pick(object(e, "fileDetails"), fileFields...)
	if file == nil {
		return nil
	}
	file["mdeDeviceId"] = firstText(e, "mdeDeviceId")
	file["detectionStatus"] = firstText(e, "detectionStatus")
	return file
}

func ofMail(e map[string]any) any {
	mail := pick(e, "networkMessageId", "internetMessageId", "senderIp", "subject", "deliveryAction", "deliveryLocation")
	if mail == nil {
		return nil
	}
	mail["recipient"] = firstText(e, "recipientEmailAddress")
	// p2 is what the recipient sees as From, p1 the envelope.
	mail["sender"] = firstText(object(e, "p2Sender"), "emailAddress")
	if mail["sender"] == nil {
		mail["sender"] = firstText(object(e, "p1Sender"), "emailAddress")
	}
	return mail
}

func processType() Type {
	t := fileType("commandLine", "mdeDeviceId", "detectionStatus", "accountName", "domainName", "userPrincipalName", "parentFileName")
	t.shape.fields["processId"] = Int
	t.shape.fields["parentProcessId"] = Int
	t.shape.fields["processCreationDateTime"] = Time
	return t
}

func ofProcess(e map[string]any) any {
	process := pick(e, "processId", "parentProcessId", "processCreationDateTime", "mdeDeviceId", "detectionStatus")
	if process == nil {
		return nil
	}
	process["commandLine"] = firstText(e, "processCommandLine")
	image := object(e, "imageFile")
	for _, name := range fileFields {
		process[name] = pick(image, name)[name]
	}
	user := object(e, "userAccount")
	for _, name := range []string{"accountName", "domainName", "userPrincipalName"} {
		process[name] = firstText(user, name)
	}
	process["parentFileName"] = firstText(object(e, "parentProcessImageFile"), "fileName")
	return process
}
