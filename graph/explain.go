package graph

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Codes of [ExplainAuth] that are ours, for failures in which the sign-in service said nothing.
const (
	AuthNoNetwork   = "no_network"  // the sign-in service could not be reached
	AuthUntrusted   = "untrusted"   // its certificate is not trusted
	AuthNoAnswer    = "no_answer"   // it was reached and gave no usable answer
	AuthUnavailable = "unavailable" // what gives the token is not there: no CLI login, no managed identity
)

// authRow is what to tell an operator about a code of the sign-in service.
type authRow struct {
	code   string // without the AADSTS
	advice string
}

// authTable lists the codes that an app meets when it signs in by itself.
func authTable() []authRow {
	return []authRow{
		{"7000215", "the client secret is wrong; often the id of the secret was pasted instead of its value"},
		{"7000222", "the client secret has expired; make a new one in the app registration and put it in the place of the old"},
		{"7000216", "neither a secret nor an assertion was sent; the credential is incomplete"},
		{"700027", "the certificate or its signature does not match the app registration; upload the public part of this certificate there"},
		{"700016", "the application is unknown in this tenant; check the client id and the tenant id, and that the app was consented to there"},
		{"90002", "the tenant was not found; check the tenant id and the cloud"},
		{"900144", "a field of the token request is missing; check that client id and tenant id are set"},
		{"70011", "the scope is not valid; check that the cloud is the tenant's own"},
		{"1002012", "the scope must end in /.default; check the cloud settings"},
		{"53003", "a Conditional Access policy for workload identities blocks this sign-in; allow the app from this address"},
		{"50196", "the sign-in service sees a loop of token requests; wait some minutes and look for a process that restarts"},
		{"90055", "the sign-in service has too many requests from this tenant; wait"},
	}
}

// ExplainAuth says in words why no token came, for people who have to mend it: the code of the
// sign-in service (such as AADSTS7000215) or one of our own, and what to do. It knows nothing
// about an error that did not come from obtaining a token, and then ok is false.
func ExplainAuth(err error) (code string, explanation string, ok bool) {
	if err == nil {
		return "", "", false
	}
	if e, found := errors.AsType[*Error](err); found {
		if e.Kind != CodeAuth {
			return "", "", false
		}
		if e.Code != "" {
			return e.Code, strings.TrimPrefix(e.Message, "no token: "), true
		}
	}
	failed, isAuth := errors.AsType[*azidentity.AuthenticationFailedError](err)
	lost, isSignIn := errors.AsType[*signInError](err)
	if isAuth && failed.RawResponse != nil {
		return explainAnswer(failed)
	}
	if isSignIn && lost.transport != nil {
		return explainUnreached(lost.transport)
	}
	if code := aadCode(err.Error()); code != "" {
		return explainCode(code)
	}
	if isAuth || isSignIn {
		return explainSilence(err)
	}
	return "", "", false
}

// explainAnswer reads the document in which the sign-in service refuses.
func explainAnswer(failed *azidentity.AuthenticationFailedError) (string, string, bool) {
	body, _ := runtime.Payload(failed.RawResponse) // an unreadable one explains as little as none
	var doc struct {
		Error       text       `json:"error"`
		Description text       `json:"error_description"`
		Codes       list[text] `json:"error_codes"`
	}
	_ = json.Unmarshal(body, &doc)
	code := aadCode(string(doc.Description))
	if code == "" && len(doc.Codes) > 0 {
		code = aadCode("AADSTS" + string(doc.Codes[0]))
	}
	if code != "" {
		if _, advice, known := explainCode(code); known && !strings.HasPrefix(advice, unlisted) {
			return code, advice, true
		}
		return code, unlisted + clean(firstLine(string(doc.Description)), MaxServerText), true
	}
	status := failed.RawResponse.StatusCode
	if status >= 500 || status == 429 || status == 408 {
		return AuthNoAnswer, "the sign-in service is not working at the moment: " + clean(failed.RawResponse.Status, maxShown), true
	}
	reason := clean(string(doc.Error), maxShown)
	if reason == "" {
		reason = clean(failed.RawResponse.Status, maxShown)
	}
	return "refused", "the sign-in service refused: " + reason + "; check tenant id, client id and authority", true
}

// unlisted begins the explanation of a code that the table does not have.
const unlisted = "the sign-in service refused: "

func explainCode(code string) (string, string, bool) {
	for _, row := range authTable() {
		if "AADSTS"+row.code == code {
			return code, row.advice, true
		}
	}
	return code, unlisted + "look the code up at https://login.microsoftonline.com/error", true
}

// explainUnreached is about a transport that failed on the way to the sign-in service.
func explainUnreached(err error) (string, string, bool) {
	detail := clean(err.Error(), MaxServerText)
	switch _, dns := errors.AsType[*net.DNSError](err); {
	case badCertificate(err):
		return AuthUntrusted, "the certificate of the sign-in service is not trusted; a proxy that opens TLS needs its CA among the system's: " + detail, true
	case dns:
		return AuthNoNetwork, "the name of the sign-in service cannot be resolved; check DNS, the cloud and the authority: " + detail, true
	}
	return AuthNoNetwork, "the sign-in service cannot be reached; check the network and the proxy: " + detail, true
}

// explainSilence is about a failure without an answer and without a broken connection.
func explainSilence(err error) (string, string, bool) {
	message := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return AuthNoAnswer, "the sign-in service did not answer in time", true
	case isCertificateText(err):
		return AuthUntrusted, "the certificate of the sign-in service is not trusted: " + clean(message, MaxServerText), true
	case strings.Contains(message, "AzureCLICredential"):
		return AuthUnavailable, "the Azure CLI gave no token; install it and run az login: " + clean(firstLine(message), MaxServerText), true
	case strings.Contains(message, "ManagedIdentityCredential"):
		return AuthUnavailable, "there is no managed identity here, or not this one; assign it to the machine, or use another kind of credential: " +
			clean(firstLine(message), MaxServerText), true
	}
	return AuthNoAnswer, "the sign-in service gave no usable answer: " + clean(firstLine(message), MaxServerText), true
}

func isCertificateText(err error) bool {
	return strings.Contains(err.Error(), x509.UnknownAuthorityError{}.Error())
}

// aadCode finds a code of the sign-in service in a text.
func aadCode(s string) string {
	if len(s) > MaxErrorBytes {
		s = s[:MaxErrorBytes]
	}
	return regexp.MustCompile(`AADSTS[0-9]{4,9}\b`).FindString(s)
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
