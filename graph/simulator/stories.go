package simulator

// story is a kind of alert that a security team meets.
type story struct {
	title, text string
	category    string
	techniques  []string
	severity    string
	source      string   // serviceSource
	detection   string   // detectionSource
	kinds       []string // evidence, in order; "ip" stands for all addresses of the scene
	file        string
	command     string
	url         string
}

const (
	endpoint   = "microsoftDefenderForEndpoint"
	identity   = "microsoftDefenderForIdentity"
	office     = "microsoftDefenderForOffice365"
	cloudApps  = "microsoftDefenderForCloudApps"
	protection = "azureAdIdentityProtection"
	sentinel   = "microsoftSentinel"
)

// productName is the name a product goes by.
func productName(source string) string {
	return map[string]string{
		endpoint: "Microsoft Defender for Endpoint", identity: "Microsoft Defender for Identity",
		office: "Microsoft Defender for Office 365", cloudApps: "Microsoft Defender for Cloud Apps",
		protection: "Microsoft Entra ID Protection", sentinel: "Microsoft Sentinel",
		"dataLossPrevention": "Microsoft Data Loss Prevention",
	}[source]
}

// ordinaryStories are the daily bread, of all products.
func ordinaryStories() []story {
	const link = "https://parcel-track.example/confirm?id=8841"
	return []story{
		{title: "Suspicious PowerShell command line", text: "PowerShell ran an encoded command that downloads from the internet.", category: "Execution",
			techniques: []string{"T1059.001"}, severity: "medium", source: endpoint, detection: endpoint,
			kinds: []string{"device", "user", "process"}, file: "powershell.exe", command: "powershell.exe -nop -w hidden -enc SQBFAFgA"},
		{title: "Malware prevented in a downloaded archive", text: "An archive with known malware was blocked before it was opened.", category: "Malware",
			techniques: []string{"T1204.002"}, severity: "informational", source: endpoint, detection: "antivirus",
			kinds: []string{"device", "file"}, file: "invoice_8841.zip"},
		{title: "Suspicious scheduled task created", text: "A scheduled task starts a program from a user's temporary folder.", category: "Persistence",
			techniques: []string{"T1053.005"}, severity: "medium", source: endpoint, detection: endpoint,
			kinds: []string{"device", "user", "process"}, file: "schtasks.exe", command: `schtasks /create /tn Updater /tr C:\Users\Public\u.exe /sc hourly`},
		{title: "Program registered to start at logon", text: "A run key points to an unsigned program.", category: "Persistence",
			techniques: []string{"T1547.001"}, severity: "low", source: endpoint, detection: endpoint,
			kinds: []string{"device", "registryValue"}, file: "updater.exe", command: `C:\Users\Public\updater.exe`},
		{title: "Connection to a command-and-control address", text: "A device contacts an address that malware reports to.", category: "CommandAndControl",
			techniques: []string{"T1071.001"}, severity: "high", source: endpoint, detection: "customTi",
			kinds: []string{"device", "process", "ip", "url"}, file: "rundll32.exe", command: "rundll32.exe a.dll,Start", url: "https://cdn-sync.example/a"},
		{title: "Password guessing against several accounts", text: "Many failed logons over NTLM from one source.", category: "CredentialAccess",
			techniques: []string{"T1110.001"}, severity: "medium", source: identity, detection: identity, kinds: []string{"user", "device", "ip"}},
		{title: "Account enumeration by directory queries", text: "A device asks the directory for an unusual number of accounts.", category: "Discovery",
			techniques: []string{"T1087.002"}, severity: "low", source: identity, detection: identity, kinds: []string{"device", "user"}},
		{title: "Ticket with unusual lifetime used", text: "A Kerberos ticket is older than policy allows.", category: "CredentialAccess",
			techniques: []string{"T1558.001"}, severity: "high", source: identity, detection: identity, kinds: []string{"user", "device"}},
		{title: "Message with a malicious link removed after delivery", text: "A link was found malicious after the message arrived; it was removed.", category: "InitialAccess",
			techniques: []string{"T1566.002"}, severity: "informational", source: office, detection: office,
			kinds: []string{"analyzedMessage", "url", "mailbox"}, url: link},
		{title: "User clicked through to a malicious site", text: "A user followed a link that turned out to be a phishing page.", category: "InitialAccess",
			techniques: []string{"T1566.002", "T1204.001"}, severity: "high", source: office, detection: office,
			kinds: []string{"user", "analyzedMessage", "url"}, url: link},
		{title: "Message reported by a user as phishing", text: "A user reported a message.", category: "InitialAccess",
			techniques: []string{"T1566"}, severity: "low", source: office, detection: office, kinds: []string{"analyzedMessage", "mailbox", "url"}, url: link},
		{title: "Impossible travel", text: "One account signed in from two places too far apart.", category: "InitialAccess",
			techniques: []string{"T1078"}, severity: "medium", source: cloudApps, detection: "cloudAppSecurity", kinds: []string{"user", "ip", "cloudApplication"}},
		{title: "Mass download by one user", text: "A user fetched far more files than usual.", category: "Exfiltration",
			techniques: []string{"T1567.002"}, severity: "medium", source: cloudApps, detection: "cloudAppSecurity", kinds: []string{"user", "cloudApplication", "ip"}},
		{title: "Credentials added to a rarely used app", text: "A new secret was added to an application registration.", category: "Persistence",
			techniques: []string{"T1098.001"}, severity: "medium", source: cloudApps, detection: "cloudAppSecurity", kinds: []string{"oauthApplication", "user", "ip"}},
		{title: "Unfamiliar sign-in properties", text: "A sign-in does not look like the user's earlier ones.", category: "InitialAccess",
			techniques: []string{"T1078.004"}, severity: "low", source: protection, detection: protection, kinds: []string{"user", "ip"}},
		{title: "Sign-in from an anonymous address", text: "A sign-in came through an anonymising network.", category: "InitialAccess",
			techniques: []string{"T1078", "T1090.003"}, severity: "medium", source: protection, detection: protection, kinds: []string{"user", "ip"}},
		{title: "Password spray", text: "One source tried the same passwords on many accounts, and one worked.", category: "CredentialAccess",
			techniques: []string{"T1110.003"}, severity: "high", source: protection, detection: protection, kinds: []string{"user", "ip"}},
		{title: "Sign-in attempts to disabled accounts", text: "An analytics rule found sign-ins to accounts that are disabled.", category: "InitialAccess",
			techniques: []string{"T1078"}, severity: "medium", source: sentinel, detection: "scheduledAlerts", kinds: []string{"user", "ip"}},
		{title: "Document with customer data shared outside", text: "A policy matched a document shared with an outside address.", category: "Exfiltration",
			techniques: []string{"T1567"}, severity: "low", source: "dataLossPrevention", detection: "microsoftDataLossPrevention", kinds: []string{"user", "cloudApplication"}},
	}
}

// ransomStories are the steps of the attack that should wake somebody.
func ransomStories() []story {
	return []story{
		{title: "Credential dumping from memory", text: "A process read the memory of the local security authority.", category: "CredentialAccess",
			techniques: []string{"T1003.001", "T1003"}, severity: "high", source: endpoint, detection: endpoint,
			kinds: []string{"device", "user", "process"}, file: "procdump.exe", command: "procdump.exe -ma lsass.exe C:\\Windows\\Temp\\l.dmp"},
		{title: "Shadow copies deleted", text: "A command removed the restore points of a server.", category: "Impact",
			techniques: []string{"T1490"}, severity: "high", source: endpoint, detection: endpoint,
			kinds: []string{"device", "process"}, file: "vssadmin.exe", command: "vssadmin delete shadows /all /quiet"},
		{title: "Files encrypted in quick succession", text: "A process rewrites many files with an unknown extension.", category: "Ransomware",
			techniques: []string{"T1486"}, severity: "high", source: endpoint, detection: endpoint,
			kinds: []string{"device", "user", "file", "process"}, file: "lock64.exe", command: "lock64.exe --all"},
	}
}

// scanTitles are what the organisation's own vulnerability scanner is reported as.
func scanTitles() []string {
	return []string{"Port scan", "Vulnerability scan detected", "Suspicious network enumeration"}
}

func scanStory(title, severity string) story {
	return story{title: title, text: "A device probes many ports and services on the internal network.", category: "Discovery",
		techniques: []string{"T1046"}, severity: severity, source: endpoint, detection: endpoint, kinds: []string{"device", "ip"}}
}
