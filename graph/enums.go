package graph

import (
	"fmt"
	"slices"
	"strings"
)

// AlertStatuses lists the members of alertStatus.
func AlertStatuses() []string { return []string{"unknown", "new", "inProgress", "resolved"} }

// IncidentStatuses lists the members of incidentStatus.
func IncidentStatuses() []string {
	return []string{"active", "resolved", "inProgress", "redirected", "awaitingAction"}
}

// Severities lists the members of alertSeverity, which incidents share.
func Severities() []string { return []string{"unknown", "informational", "low", "medium", "high"} }

// Classifications lists the members of alertClassification.
func Classifications() []string {
	return []string{"unknown", "falsePositive", "truePositive", "informationalExpectedActivity"}
}

// Determinations lists the members of alertDetermination, the retired ones among them.
func Determinations() []string {
	return []string{
		"unknown", "apt", "malware", "securityPersonnel", "securityTesting", "unwantedSoftware", "other",
		"multiStagedAttack", "compromisedAccount", "phishing", "maliciousUserActivity", "notMalicious",
		"notEnoughDataToValidate", "confirmedActivity", "lineOfBusinessApplication",
	}
}

// RetiredDeterminations lists members that old alerts carry and nobody should write.
func RetiredDeterminations() []string { return []string{"apt", "securityPersonnel"} }

// DeterminationAliases maps names that older pages show to those of the schema.
func DeterminationAliases() map[string]string {
	return map[string]string{
		"compromisedUser":       "compromisedAccount",
		"clean":                 "notMalicious",
		"insufficientData":      "notEnoughDataToValidate",
		"confirmedUserActivity": "confirmedActivity",
	}
}

// ServiceSources lists the members of serviceSource.
func ServiceSources() []string {
	return []string{
		"unknown", "microsoftDefenderForEndpoint", "microsoftDefenderForIdentity", "microsoftDefenderForCloudApps",
		"microsoftDefenderForOffice365", "microsoft365Defender", "azureAdIdentityProtection", "microsoftAppGovernance",
		"dataLossPrevention", "microsoftDefenderForCloud", "microsoftSentinel", "microsoftInsiderRiskManagement",
		"microsoftThreatIntelligence", "microsoftSecurityForAI",
	}
}

// DetectionSources lists the members of detectionSource.
func DetectionSources() []string {
	return []string{
		"unknown", "microsoftDefenderForEndpoint", "antivirus", "smartScreen", "customTi", "microsoftDefenderForOffice365",
		"automatedInvestigation", "microsoftThreatExperts", "customDetection", "microsoftDefenderForIdentity",
		"cloudAppSecurity", "microsoft365Defender", "azureAdIdentityProtection", "manual", "microsoftDataLossPrevention",
		"appGovernancePolicy", "appGovernanceDetection", "microsoftDefenderForCloud", "microsoftDefenderForIoT",
		"microsoftDefenderForServers", "microsoftDefenderForStorage", "microsoftDefenderForDNS",
		"microsoftDefenderForDatabases", "microsoftDefenderForContainers", "microsoftDefenderForNetwork",
		"microsoftDefenderForAppService", "microsoftDefenderForKeyVault", "microsoftDefenderForResourceManager",
		"microsoftDefenderForApiManagement", "nrtAlerts", "scheduledAlerts", "microsoftDefenderThreatIntelligenceAnalytics",
		"builtInMl", "microsoftInsiderRiskManagement", "microsoftThreatIntelligence", "microsoftDefenderForAIServices",
		"securityCopilot", "microsoftSentinel",
	}
}

// InvestigationStates lists the members of investigationState.
func InvestigationStates() []string {
	return []string{
		"unknown", "terminated", "successfullyRemediated", "benign", "failed", "partiallyRemediated", "running",
		"pendingApproval", "pendingResource", "queued", "innerFailure", "preexistingAlert", "unsupportedOs",
		"unsupportedAlertType", "suppressedAlert", "partiallyInvestigated", "terminatedByUser", "terminatedBySystem",
	}
}

// CorrelationReasons lists the members of correlationReason, one of them misspelt by the schema.
func CorrelationReasons() []string {
	return []string{
		"repeatedAlertOccurrence", "sameGeography", "similarArtifacts", "sameTargetedAsset", "sameNetworkSegment",
		"eventSequence", "timeFrame", "sameThreatSource", "similarTTPsOrBehavior", "sameActor", "sameCampaign",
		"sharedIndicators", "sameAsset", "networkProximity", "eventCasualSequence", "temporalProximity", "lateralMovementPath",
	}
}

// WritableAlertStatuses lists what an alert's status may be set to.
func WritableAlertStatuses() []string { return AlertStatuses()[1:] }

// WritableIncidentStatuses lists what an incident's status may be set to: the others are set by
// the service.
func WritableIncidentStatuses() []string { return []string{"active", "inProgress", "resolved"} }

// WritableSeverities lists what an incident's severity may be set to.
func WritableSeverities() []string { return Severities()[1:] }

// WritableDeterminations lists what a determination may be set to.
func WritableDeterminations() []string {
	return slices.DeleteFunc(Determinations(), func(d string) bool {
		return slices.Contains(RetiredDeterminations(), d)
	})
}

// NormalizeAlertStatus returns the schema's spelling of a status that may be written.
func NormalizeAlertStatus(s string) (string, error) {
	return normalize("status", s, WritableAlertStatuses())
}

// NormalizeIncidentStatus returns the schema's spelling of a status that may be written.
func NormalizeIncidentStatus(s string) (string, error) {
	return normalize("status", s, WritableIncidentStatuses())
}

// NormalizeSeverity returns the schema's spelling of a severity that may be written.
func NormalizeSeverity(s string) (string, error) {
	return normalize("severity", s, WritableSeverities())
}

// NormalizeClassification returns the schema's spelling of a classification.
func NormalizeClassification(s string) (string, error) {
	return normalize("classification", s, Classifications())
}

// NormalizeDetermination returns the schema's name of a determination, also of one that older
// pages name differently.
func NormalizeDetermination(s string) (string, error) {
	for alias, member := range otherDeterminations {
		if strings.EqualFold(s, alias) {
			return member, nil
		}
	}
	return normalize("determination", s, writableDeterminations)
}

// Made once: they are long, and most changes set a determination.
var otherDeterminations, writableDeterminations = DeterminationAliases(), WritableDeterminations()

// NormalizeCorrelationReasons writes reasons as Graph wants a set of flags: joined by commas.
func NormalizeCorrelationReasons(reasons []string) (string, error) {
	var out []string
	for _, r := range reasons {
		member, err := normalize("correlation reason", r, CorrelationReasons())
		if err != nil {
			return "", err
		}
		if !slices.Contains(out, member) {
			out = append(out, member)
		}
	}
	return strings.Join(out, ", "), nil
}

// normalize finds a member without regard to case: published examples write TruePositive where
// the wire has truePositive.
func normalize(what, s string, members []string) (string, error) {
	for _, m := range members {
		if strings.EqualFold(s, m) {
			return m, nil
		}
	}
	return "", fmt.Errorf("%s %q cannot be set: use one of %s", what, clean(s, maxShown), strings.Join(members, ", "))
}

// SensiblePair says that a determination goes with a classification. The portal enforces the
// pairs; the API takes any. A value that is unknown or empty goes with everything.
func SensiblePair(classification, determination string) bool {
	if d, err := NormalizeDetermination(determination); err == nil {
		determination = d
	}
	allowed, ok := SensiblePairs()[classification]
	if !ok || determination == "" || determination == "unknown" {
		return true
	}
	return slices.Contains(allowed, determination)
}

// SensiblePairs lists, for each classification, the determinations that go with it.
func SensiblePairs() map[string][]string {
	return map[string][]string{
		"truePositive": {"multiStagedAttack", "malware", "maliciousUserActivity", "unwantedSoftware", "phishing",
			"compromisedAccount", "other"},
		"informationalExpectedActivity": {"securityTesting", "lineOfBusinessApplication", "confirmedActivity", "other"},
		"falsePositive":                 {"notMalicious", "notEnoughDataToValidate", "other"},
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
