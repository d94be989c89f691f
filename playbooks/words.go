package playbooks

// Graph's words, as its v1.0 metadata writes them. They are functions because a variable could be
// changed.

const (
	alertsResource    = "alerts"
	incidentsResource = "incidents"
)

func severities() []string {
	return []string{"unknown", "informational", "low", "medium", "high"}
}

func alertStatuses() []string { return []string{"unknown", "new", "inProgress", "resolved"} }

func incidentStatuses() []string {
	return []string{"active", "inProgress", "resolved", "redirected", "awaitingAction"}
}

func classifications() []string {
	return []string{"unknown", "falsePositive", "truePositive", "informationalExpectedActivity"}
}

func determinations() []string {
	return []string{"unknown", "malware", "securityTesting", "unwantedSoftware", "other", "multiStagedAttack",
		"compromisedAccount", "phishing", "maliciousUserActivity", "notMalicious", "notEnoughDataToValidate",
		"confirmedActivity", "lineOfBusinessApplication"}
}

// retiredDeterminations are still in the metadata, and old alerts have them, but Defender no
// longer takes them.
func retiredDeterminations() []string { return []string{"apt", "securityPersonnel"} }

func serviceSources() []string {
	return []string{"unknown", "microsoftDefenderForEndpoint", "microsoftDefenderForIdentity",
		"microsoftDefenderForCloudApps", "microsoftDefenderForOffice365", "microsoft365Defender",
		"azureAdIdentityProtection", "microsoftAppGovernance", "dataLossPrevention", "microsoftDefenderForCloud",
		"microsoftSentinel", "microsoftInsiderRiskManagement", "microsoftThreatIntelligence", "microsoftSecurityForAI"}
}

// pairs says which determinations go with a classification. The portal enforces it; the API takes
// anything and leaves an alert that nobody can file.
func pairs(classification string) []string {
	switch classification {
	case "truePositive":
		return []string{"multiStagedAttack", "malware", "maliciousUserActivity", "unwantedSoftware", "phishing",
			"compromisedAccount", "other"}
	case "informationalExpectedActivity":
		return []string{"securityTesting", "lineOfBusinessApplication", "confirmedActivity", "other"}
	case "falsePositive":
		return []string{"notMalicious", "notEnoughDataToValidate", "other"}
	}
	return nil
}

// subjectProperties are the properties of a resource that playbooks can read, filterable or not.
func subjectProperties(resource string) []string {
	common := []string{"id", "tenantId", "incidentWebUrl", "description", "severity", "status", "classification",
		"determination", "assignedTo", "systemTags", "comments", "createdDateTime", "lastUpdateDateTime"}
	if resource == incidentsResource {
		return append(common, "displayName", "summary", "customTags", "resolvingComment", "redirectIncidentId",
			"priorityScore", "lastModifiedBy", "alerts")
	}
	return append(common, "providerAlertId", "incidentId", "alertWebUrl", "title", "recommendedActions", "category",
		"categories", "serviceSource", "detectionSource", "productName", "detectorId", "alertPolicyId",
		"actorDisplayName", "threatDisplayName", "threatFamilyName", "mitreTechniques", "customDetails",
		"additionalData", "investigationState", "resolvedDateTime", "firstActivityDateTime", "lastActivityDateTime",
		"evidence")
}
