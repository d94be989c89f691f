package simulator

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an answer that is not a success. Handlers return it as an error; the server gives it the shape
// of the surface it belongs to.
type apiError struct {
	status  int
	code    string
	message string
	aadsts  int // number of a token error
	header  http.Header
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message) }

// refuse makes an apiError with the usual code of the status.
func refuse(status int, format string, args ...any) *apiError {
	return &apiError{status: status, code: usualCode(status), message: fmt.Sprintf(format, args...)}
}

// reply is an answer ready to be sent.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// graphContentType is what the live service sends on success and error alike.
const graphContentType = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"

// graphError gives an error the shape of Graph.
func (x *exchange) graphError(e *apiError) reply {
	inner := map[string]any{
		"date":              x.now.UTC().Format("2006-01-02T15:04:05"),
		"request-id":        x.requestID,
		"client-request-id": x.clientRequestID,
	}
	if e.status == http.StatusTooManyRequests {
		inner["code"], inner["status"], inner["message"] = "429", "429", "Please retry after"
	}
	return x.json(e.status, e.header, map[string]any{
		"error": map[string]any{"code": e.code, "message": e.message, "innerError": inner},
	})
}

// json builds a reply of the Graph surface.
func (x *exchange) json(status int, header http.Header, body any) reply {
	data, err := encodeJSON(body)
	if err != nil {
		// Documents are decoded JSON, so only a value put in by Touch could get here, and plain checked those.
		x.s.opts.Logger.Error("answer cannot be encoded", "err", err)
		return reply{status: http.StatusInternalServerError, header: http.Header{}}
	}
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", graphContentType)
	return reply{status: status, header: header, body: data}
}

// commonHeaders adds what every answer carries.
func (x *exchange) commonHeaders(rep reply) reply {
	if rep.header == nil {
		rep.header = http.Header{}
	}
	rep.header.Set("Date", x.now.UTC().Format(http.TimeFormat))
	rep.header.Set("Cache-Control", "no-store")
	if x.surface == authoritySurface {
		rep.header.Set("x-ms-request-id", x.requestID)
		return rep
	}
	rep.header.Set("request-id", x.requestID)
	rep.header.Set("client-request-id", x.clientRequestID)
	rep.header.Set("OData-Version", "4.0")
	rep.header.Set("x-ms-ags-diagnostic", `{"ServerInfo":{"DataCenter":"Simulator","Slice":"E","Ring":"1"}}`)
	if rep.status == http.StatusUnauthorized && rep.header.Get("WWW-Authenticate") == "" {
		rep.header.Set("WWW-Authenticate", fmt.Sprintf(
			`Bearer realm="", authorization_uri="https://%s/%s/oauth2/v2.0/authorize", client_id="%s"`, x.r.Host, x.s.opts.Tenant, graphAppID))
	}
	return rep
}

// retryAfter renders a wait as whole seconds, rounded up, at least one.
func retryAfter(wait time.Duration) string {
	return fmt.Sprint(max(1, int64((wait+time.Second-1)/time.Second)))
}
