package simulator

import (
	"fmt"
	"time"
)

// scene is what the evidence of an alert is about.
type scene struct {
	at      time.Time
	who     person
	where   device
	ips     []string
	verdict string
	remedy  string
	file    string
	command string
	url     string
}

// evidence builds an item of a kind.
func (g *generator) evidence(kind string, s scene) map[string]any {
	item := map[string]any{
		"@odata.type": "#microsoft.graph.security." + kind + "Evidence", "createdDateTime": formatTime(s.at),
		"verdict": s.verdict, "remediationStatus": s.remedy, "remediationStatusDetails": nil,
		"roles": []any{}, "detailedRoles": []any{}, "tags": []any{},
	}
	for name, value := range g.evidenceFields(kind, s) {
		item[name] = value
	}
	return item
}

func (g *generator) evidenceFields(kind string, s scene) map[string]any {
	switch kind {
	case "device":
		return s.deviceFields()
	case "user":
		return map[string]any{"userAccount": s.who.userAccount(), "stream": nil, "roles": []any{"compromised"}}
	case "file":
		return map[string]any{"detectionStatus": "detected", "mdeDeviceId": s.where.id, "fileDetails": g.fileDetails(s.file)}
	case "process":
		return map[string]any{"detectionStatus": "detected", "mdeDeviceId": s.where.id, "processId": 1000 + g.rng.IntN(30000),
			"parentProcessId": 600 + g.rng.IntN(400), "processCommandLine": s.command, "imageFile": g.fileDetails(s.file),
			"processCreationDateTime": formatTime(s.at.Add(-time.Minute)), "parentProcessCreationDateTime": formatTime(s.at.Add(-time.Hour)),
			"parentProcessImageFile": g.fileDetails("explorer.exe"), "userAccount": s.who.userAccount()}
	case "url":
		return map[string]any{"url": s.url}
	case "analyzedMessage":
		return g.messageFields(s)
	case "mailbox":
		return map[string]any{"displayName": s.who.name, "primaryAddress": s.who.upn, "upn": s.who.upn, "userAccount": s.who.userAccount()}
	case "cloudApplication":
		return map[string]any{"appId": 11161, "displayName": "Microsoft 365", "instanceId": 0, "instanceName": "Microsoft 365", "saasAppId": 11161, "stream": nil}
	case "oauthApplication":
		return map[string]any{"appId": seededUUID(g.rng), "objectId": seededUUID(g.rng), "displayName": "Expense Helper", "publisher": "Unverified publisher"}
	case "registryValue":
		return map[string]any{"mdeDeviceId": s.where.id, "registryHive": "HKEY_LOCAL_MACHINE",
			"registryKey":       `SOFTWARE\Microsoft\Windows\CurrentVersion\Run`,
			"registryValueName": "Updater", "registryValue": s.command, "registryValueType": "String"}
	}
	return nil
}

// ipEvidence builds one item for each address of the scene.
func (g *generator) ipEvidence(s scene) []any {
	var items []any
	for _, ip := range s.ips {
		item := g.evidence("ip", s)
		item["ipAddress"], item["countryLetterCode"], item["location"], item["stream"] = ip, nil, nil, nil
		item["roles"] = []any{"source"}
		items = append(items, item)
	}
	return items
}

func (s scene) deviceFields() map[string]any {
	loggedOn := []any{}
	if s.who.account != "" {
		loggedOn = append(loggedOn, map[string]any{"accountName": s.who.account, "domainName": "HARBOUR"})
	}
	return map[string]any{
		"mdeDeviceId": s.where.id, "azureAdDeviceId": s.where.entraID, "hostName": s.where.host,
		"deviceDnsName": s.where.host + "." + mailDomain, "dnsDomain": mailDomain, "ntDomain": "HARBOUR",
		"osPlatform": s.where.os, "osBuild": s.where.build, "version": "Other", "healthStatus": "active", "riskScore": "medium",
		"rbacGroupId": 12, "rbacGroupName": s.where.group, "onboardingStatus": "onboarded", "defenderAvStatus": "updated",
		"ipInterfaces": []any{s.where.ip}, "lastIpAddress": s.where.ip, "lastExternalIpAddress": nil,
		"loggedOnUsers": loggedOn, "firstSeenDateTime": formatTime(s.at.Add(-400 * 24 * time.Hour)),
		"vmMetadata": nil, "resourceAccessEvents": []any{}, "roles": []any{"compromised"},
	}
}

func (p person) userAccount() map[string]any {
	return map[string]any{"accountName": p.account, "domainName": "HARBOUR", "userSid": p.sid, "azureAdUserId": p.id,
		"userPrincipalName": p.upn, "displayName": p.name, "activeDirectoryObjectGuid": nil, "tenantId": nil, "resourceAccessEvents": []any{}}
}

func (g *generator) fileDetails(name string) map[string]any {
	return map[string]any{"fileName": name, "filePath": `C:\Users\Public\Downloads`, "fileSize": 4096 + g.rng.IntN(1<<22),
		"filePublisher": nil, "signer": nil, "issuer": nil, "md5": hexDigits(g.rng, 32), "sha1": hexDigits(g.rng, 40), "sha256": hexDigits(g.rng, 64), "sha256Ac": nil}
}

func (g *generator) messageFields(s scene) map[string]any {
	id := seededUUID(g.rng)
	sender := map[string]any{"displayName": "Parcel Service", "domainName": "parcel-track.example", "emailAddress": "notice@parcel-track.example"}
	return map[string]any{
		"networkMessageId": id, "internetMessageId": "<" + id + "@parcel-track.example>", "subject": "Your parcel could not be delivered",
		"recipientEmailAddress": s.who.upn, "senderIp": outsideIP(g.rng), "p1Sender": sender, "p2Sender": sender, "language": "en",
		"deliveryAction": "delivered", "deliveryLocation": "inbox", "antiSpamDirection": "inbound", "attachmentsCount": g.rng.IntN(3),
		"urlCount": 1, "urls": []any{s.url}, "urn": fmt.Sprintf("urn:MailEntity:%s", hexDigits(g.rng, 32)),
		"threats": []any{"ZapPhish"}, "threatDetectionMethods": []any{"UrlReputation"}, "receivedDateTime": formatTime(s.at.Add(-10 * time.Minute)),
	}
}
