package simulator

import (
	"slices"
	"strings"
)

// form is what a property holds, as far as filters and writes have to know.
type form int

const (
	formText form = iota
	formTime
	formEnum
	formNumber
	formTexts  // a list of strings
	formOpen   // an object with string values
	formOpaque // anything else: never written, only passed on
)

// property describes a field of a resource.
type property struct {
	form       form
	members    []string // of an enum, as the service knows them
	readOnly   []string // members only the service sets
	nullable   bool
	filterable bool // documented as such
	writable   bool
}

// resource describes a collection: what its documents hold and which query options are documented.
type resource struct {
	segment    string // in paths
	kind       string // type name in messages and contexts
	object     string // in the effect log
	properties map[string]property
	documented []string // query options of the list
	expandable bool     // $expand=alerts
	maxTop     int      // the largest page; 0: that of Graph
	topEnds    bool     // a list that was asked for with $top names no next page
}

// Enum members, as the schema lists them; the gated ones come last (see gated).
var (
	severities      = []string{"unknown", "informational", "low", "medium", "high"}
	alertStatuses   = []string{"unknown", "new", "inProgress", "resolved"}
	classifications = []string{"unknown", "falsePositive", "truePositive", "informationalExpectedActivity"}
	determinations  = []string{"unknown", "apt", "malware", "securityPersonnel", "securityTesting", "unwantedSoftware", "other",
		"multiStagedAttack", "compromisedAccount", "phishing", "maliciousUserActivity", "notMalicious",
		"notEnoughDataToValidate", "confirmedActivity", "lineOfBusinessApplication"}
	incidentStatuses = []string{"active", "resolved", "inProgress", "redirected", "awaitingAction"}
	serviceSources   = []string{"unknown", "microsoftDefenderForEndpoint", "microsoftDefenderForIdentity",
		"microsoftDefenderForCloudApps", "microsoftDefenderForOffice365", "microsoft365Defender", "azureAdIdentityProtection",
		"microsoftAppGovernance", "dataLossPrevention", "microsoftDefenderForCloud", "microsoftSentinel",
		"microsoftInsiderRiskManagement", "microsoftThreatIntelligence", "microsoftSecurityForAI"}
	detectionSources = []string{"unknown", "microsoftDefenderForEndpoint", "antivirus", "smartScreen", "customTi",
		"microsoftDefenderForOffice365", "automatedInvestigation", "microsoftThreatExperts", "customDetection",
		"microsoftDefenderForIdentity", "cloudAppSecurity", "microsoft365Defender", "azureAdIdentityProtection", "manual",
		"microsoftDataLossPrevention", "appGovernancePolicy", "appGovernanceDetection", "microsoftDefenderForCloud",
		"microsoftDefenderForIoT", "microsoftDefenderForServers", "microsoftDefenderForStorage", "microsoftDefenderForDNS",
		"microsoftDefenderForDatabases", "microsoftDefenderForContainers", "microsoftDefenderForNetwork",
		"microsoftDefenderForAppService", "microsoftDefenderForKeyVault", "microsoftDefenderForResourceManager",
		"microsoftDefenderForApiManagement", "nrtAlerts", "scheduledAlerts", "microsoftDefenderThreatIntelligenceAnalytics",
		"builtInMl", "microsoftInsiderRiskManagement", "microsoftThreatIntelligence", "microsoftDefenderForAIServices",
		"securityCopilot", "microsoftSentinel"}
	investigationStates = []string{"unknown", "terminated", "successfullyRemediated", "benign", "failed",
		"partiallyRemediated", "running", "pendingApproval", "pendingResource", "queued", "innerFailure", "preexistingAlert",
		"unsupportedOs", "unsupportedAlertType", "suppressedAlert", "partiallyInvestigated", "terminatedByUser", "terminatedBySystem"}
	correlationReasons = []string{"repeatedAlertOccurrence", "sameGeography", "similarArtifacts", "sameTargetedAsset",
		"sameNetworkSegment", "eventSequence", "timeFrame", "sameThreatSource", "similarTTPsOrBehavior", "sameActor",
		"sameCampaign", "sharedIndicators", "sameAsset", "networkProximity", "eventCasualSequence", "temporalProximity",
		"lateralMovementPath"}
	remediationStatuses = []string{"none", "remediated", "prevented", "blocked", "notFound", "active", "pendingApproval",
		"declined", "unremediated", "running", "partiallyRemediated"}
)

// gated names, by property, the enum members a caller receives only with Prefer: include-unknown-enum-members.
var gated = map[string][]string{
	"serviceSource":     serviceSources[9:],
	"detectionSource":   detectionSources[17:],
	"remediationStatus": remediationStatuses[5:],
	"status":            incidentStatuses[4:],
}

// hideGated replaces gated members by unknownFutureValue, in depth. It works on a copy of its own.
func hideGated(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if s, ok := value.(string); ok && slices.Contains(gated[name], s) {
				v[name] = "unknownFutureValue"
				continue
			}
			hideGated(value)
		}
	case []any:
		for _, element := range v {
			hideGated(element)
		}
	}
}

func alertResource() *resource {
	return &resource{
		segment: "alerts_v2", kind: "microsoft.graph.security.alert", object: "alerts",
		documented: []string{"$count", "$filter", "$skip", "$top"},
		properties: map[string]property{
			"status":             {form: formEnum, members: alertStatuses, filterable: true, writable: true},
			"classification":     {form: formEnum, members: classifications, nullable: true, filterable: true, writable: true},
			"determination":      {form: formEnum, members: determinations, nullable: true, filterable: true, writable: true},
			"assignedTo":         {form: formText, nullable: true, filterable: true, writable: true},
			"customDetails":      {form: formOpen, nullable: true, writable: true},
			"severity":           {form: formEnum, members: severities, filterable: true},
			"serviceSource":      {form: formEnum, members: serviceSources, filterable: true},
			"createdDateTime":    {form: formTime, filterable: true},
			"lastUpdateDateTime": {form: formTime, filterable: true},

			"detectionSource":    {form: formEnum, members: detectionSources},
			"investigationState": {form: formEnum, members: investigationStates},
			"resolvedDateTime":   {form: formTime}, "firstActivityDateTime": {form: formTime}, "lastActivityDateTime": {form: formTime},
			"id": {}, "providerAlertId": {}, "incidentId": {}, "incidentWebUrl": {}, "alertWebUrl": {}, "tenantId": {}, "title": {},
			"description": {}, "recommendedActions": {}, "category": {}, "productName": {}, "detectorId": {}, "alertPolicyId": {},
			"actorDisplayName": {}, "threatDisplayName": {}, "threatFamilyName": {},
			"categories": {form: formTexts}, "mitreTechniques": {form: formTexts}, "systemTags": {form: formTexts},
			"additionalData": {form: formOpaque}, "comments": {form: formOpaque}, "evidence": {form: formOpaque},
		},
	}
}

func incidentResource() *resource {
	return &resource{
		segment: "incidents", kind: "microsoft.graph.security.incident", object: "incidents", expandable: true,
		documented: []string{"$count", "$filter", "$skip", "$top", "$expand"},
		properties: map[string]property{
			"status": {form: formEnum, members: incidentStatuses, readOnly: []string{"redirected", "awaitingAction"},
				filterable: true, writable: true},
			"classification":     {form: formEnum, members: classifications, nullable: true, filterable: true, writable: true},
			"determination":      {form: formEnum, members: determinations, nullable: true, filterable: true, writable: true},
			"severity":           {form: formEnum, members: severities, filterable: true, writable: true},
			"assignedTo":         {form: formText, nullable: true, filterable: true, writable: true},
			"customTags":         {form: formTexts, writable: true},
			"description":        {form: formText, nullable: true, writable: true},
			"displayName":        {form: formText, nullable: true, writable: true},
			"resolvingComment":   {form: formText, nullable: true, writable: true},
			"summary":            {form: formText, nullable: true, writable: true},
			"createdDateTime":    {form: formTime, filterable: true},
			"lastUpdateDateTime": {form: formTime, filterable: true},

			"id": {}, "tenantId": {}, "incidentWebUrl": {}, "redirectIncidentId": {}, "lastModifiedBy": {},
			"priorityScore": {form: formNumber}, "systemTags": {form: formTexts},
			"comments": {form: formOpaque}, "alerts": {form: formOpaque},
		},
	}
}

// lowerFirst turns TruePositive into truePositive.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
