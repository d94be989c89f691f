package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// loadLimits bound an export.
type loadLimits struct {
	bytes     int64
	documents int
}

// exportLimits are the limits of Load.
func exportLimits() loadLimits {
	return loadLimits{bytes: MaxExportBytes, documents: MaxExportDocuments}
}

// Limits of a loaded export.
const (
	MaxExportBytes     = 256 << 20
	MaxExportDocuments = 200_000
)

// Load reads an export of Graph, or of the machines of Defender for Endpoint: list answers (objects with "value"), arrays, single objects or JSON lines, and
// any sequence of these. Alerts are told from incidents by @odata.type, by their properties, or by the
// @odata.context around them. Alerts inside an incident ($expand=alerts) are taken out of it. A document that
// occurs twice is kept as it was last.
func Load(r io.Reader) (Documents, error) { return load(r, exportLimits()) }

func load(r io.Reader, limits loadLimits) (Documents, error) {
	data, err := io.ReadAll(io.LimitReader(r, limits.bytes+1))
	if err != nil {
		return Documents{}, fmt.Errorf("read export: %w", err)
	}
	if int64(len(data)) > limits.bytes {
		return Documents{}, fmt.Errorf("the export is larger than %d bytes: split it, or export a shorter period", limits.bytes)
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return Documents{}, errors.New("the export is UTF-16: save it as UTF-8 (in PowerShell: Out-File -Encoding utf8)")
	}
	data = bytes.TrimPrefix(data, []byte{0xef, 0xbb, 0xbf})
	l := loader{data: data, limits: limits, alertAt: map[string]int{}, incidentAt: map[string]int{}, machineAt: map[string]int{}}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		start := l.skipBlank(dec.InputOffset())
		var value any
		err := dec.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Documents{}, fmt.Errorf("line %d (offset %d): not JSON: %w; repair or remove what begins there",
				l.errorLine(err, start), start, err)
		}
		if err := l.value(value, "", "the value"); err != nil {
			return Documents{}, fmt.Errorf("line %d (offset %d): %w", lineAt(data, start), start, err)
		}
	}
	if l.out.count() == 0 && !l.lists {
		return Documents{}, errors.New("the export is empty: it should hold what GET /security/alerts_v2 or /security/incidents answers")
	}
	return l.out, nil
}

// count is how many documents there are.
func (d Documents) count() int { return len(d.Alerts) + len(d.Incidents) + len(d.Machines) }

// loader collects documents.
type loader struct {
	data                []byte
	limits              loadLimits
	out                 Documents
	alertAt, incidentAt map[string]int
	machineAt           map[string]int
	lists               bool // a list was seen, though it may have been empty
}

func (l *loader) skipBlank(offset int64) int64 {
	rest := l.data[min(offset, int64(len(l.data))):]
	return offset + int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n,")))
}

func (l *loader) errorLine(err error, start int64) int {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return lineAt(l.data, syntax.Offset-1)
	}
	return lineAt(l.data, start)
}

// value takes in a top-level value or an element of a list.
func (l *loader) value(v any, context, where string) error {
	switch v := v.(type) {
	case []any:
		l.lists = true
		for i, element := range v {
			if err := l.value(element, context, fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if own, ok := v["@odata.context"].(string); ok {
			context = own
		}
		if list, ok := v["value"].([]any); ok {
			return l.value(list, context, where+".value")
		}
		return l.document(v, context, where)
	}
	return fmt.Errorf("%s is neither an object nor a list: an export holds alerts or incidents", where)
}

func (l *loader) document(doc Document, context, where string) error {
	kind, err := kindOf(doc, context)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	delete(doc, "@odata.context") // belongs to the answer, not to the document
	if err := checkDocument(doc); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if l.out.count() >= l.limits.documents {
		return fmt.Errorf("%s: more than %d documents: export a shorter period", where, l.limits.documents)
	}
	switch kind {
	case "alert":
		l.out.Alerts = keep(l.out.Alerts, l.alertAt, doc)
		return nil
	case "machine":
		l.out.Machines = keep(l.out.Machines, l.machineAt, doc)
		return nil
	}
	alerts, _ := doc["alerts"].([]any)
	delete(doc, "alerts")
	delete(doc, "alerts@odata.context")
	l.out.Incidents = keep(l.out.Incidents, l.incidentAt, doc)
	for i, alert := range alerts {
		inner, ok := alert.(map[string]any)
		if !ok {
			return fmt.Errorf("%s.alerts[%d] is not an object", where, i)
		}
		if err := l.document(inner, "#security/alerts_v2", fmt.Sprintf("%s.alerts[%d]", where, i)); err != nil {
			return err
		}
	}
	return nil
}

// keep appends a document, or replaces the one with the same id.
func keep(list []Document, at map[string]int, doc Document) []Document {
	id := doc.text("id")
	if i, ok := at[id]; ok {
		list[i] = doc
		return list
	}
	at[id] = len(list)
	return append(list, doc)
}

// kindOf tells an alert from an incident, and both from a machine: by its type, by its properties, by the list it came in.
func kindOf(doc Document, context string) (string, error) {
	switch trimType(doc.text("@odata.type")) {
	case "alert":
		return "alert", nil
	case "incident":
		return "incident", nil
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if _, ok := doc[name]; ok {
				return true
			}
		}
		return false
	}
	switch {
	case has("error") && !has("id"):
		return "", errors.New("this is an error answer of Graph, not an export: mend the call it answers and export again")
	case has("Id", "ID") && !has("id"):
		return "", errors.New("property names begin with capitals, as PowerShell objects have them: export the answer of Graph itself (Invoke-MgGraphRequest -OutputType Json)")
	case has("vendorInformation", "azureTenantId"):
		return "", errors.New("this is a legacy alert (or secure score): export from /security/alerts_v2")
	case has("computerDnsName") && !has("requestor") || strings.HasSuffix(context, "$metadata#Machines"):
		return "machine", nil
	case has("title", "serviceSource", "evidence", "alertWebUrl", "providerAlertId"):
		return "alert", nil
	case has("displayName", "customTags", "redirectIncidentId", "lastModifiedBy"):
		return "incident", nil
	case strings.Contains(context, "/comments"):
	case strings.Contains(context, "alerts_v2"):
		return "alert", nil
	case strings.Contains(context, "incidents"):
		return "incident", nil
	}
	return "", errors.New("neither an alert nor an incident: add \"@odata.type\": \"#microsoft.graph.security.alert\" (or .incident), or remove it")
}

// checkDocument refuses what could not be served: no id, or timestamps that are none.
func checkDocument(doc Document) error {
	if doc.text("id") == "" {
		return errors.New("id is missing or not text: each document needs its own, even when $select left it out")
	}
	for _, name := range []string{"createdDateTime", "lastUpdateDateTime"} {
		if doc[name] == nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339Nano, doc.text(name)); err != nil {
			return fmt.Errorf("document %q: %s is %v: write it like 2026-11-22T02:02:32.1234567Z", doc.text("id"), name, doc[name])
		}
	}
	return nil
}
