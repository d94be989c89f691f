package document

import "github.com/playbookd/playbookd/internal/diag"

// The codes of findings about documents. PB001 to PB019 belong to this package.
const (
	codeSize      = "PB001"
	codeEncoding  = "PB002"
	codeSyntax    = "PB003"
	codeTab       = "PB004"
	codeDocuments = "PB005"
	codeAlias     = "PB006"
	codeTag       = "PB007"
	codeDuplicate = "PB008"
	codeDepth     = "PB009"
	codeKey       = "PB010"
	codeBoolean   = "PB011"
	codeOctal     = "PB012"
	codeComment   = "PB013"
	codeNumber    = "PB014"
)

// Codes explains every finding this package reports.
func Codes() []diag.Code {
	return []diag.Code{
		{Code: codeSize, Title: "The document is too large", Severity: diag.Error,
			Help: "A document may have at most 256 KiB. Keep long lists of values in files of their own (watchlists) and name them in the playbook."},
		{Code: codeEncoding, Title: "The document is not plain UTF-8", Severity: diag.Error,
			Help: "Documents are UTF-8 without a byte order mark. Line breaks other than LF and CRLF are refused because editors and programs count them differently. Save the file as \"UTF-8\" (not \"UTF-8 with BOM\"); write unusual characters as escapes in double quotes, as in \"\\u2028\"."},
		{Code: codeSyntax, Title: "The document is not YAML", Severity: diag.Error,
			Help: "The text cannot be read as YAML from this place on. The usual reasons are indentation that does not fit the lines above, a quote or bracket that is never closed, and a text with \": \" in it that needs quotes."},
		{Code: codeTab, Title: "A tab in the indentation", Severity: diag.Error,
			Help: "YAML forbids tabs in indentation because their width is a matter of taste. Use spaces."},
		{Code: codeDocuments, Title: "Not exactly one document", Severity: diag.Error,
			Help: "A file holds one document: it is not empty, and there is no second one after a line of three dashes. Put each playbook into a file of its own."},
		{Code: codeAlias, Title: "Anchors, aliases and merge keys are refused", Severity: diag.Error,
			Help: "Anchors (&name), aliases (*name) and merge keys (<<) make a text mean something other than what it shows at that place, and can make a short document grow without bound. Repeat the value, or use a playbook variable. A plain text that starts with & or * needs quotes."},
		{Code: codeTag, Title: "Tags are refused", Severity: diag.Error,
			Help: "An explicit tag (!!str, !binary) changes the type of a value. Write text in quotes and numbers without. A plain text that starts with ! needs quotes."},
		{Code: codeDuplicate, Title: "A key is given twice", Severity: diag.Error,
			Help: "Programs disagree on which of two equal keys counts. Remove one of them, or merge their values."},
		{Code: codeDepth, Title: "The document is nested too deeply", Severity: diag.Error,
			Help: "Maps and lists may be nested 32 deep. Move inner steps into a playbook of their own and call it."},
		{Code: codeKey, Title: "A key is not a text", Severity: diag.Error,
			Help: "The keys of a map are texts. An expression written as ${{ … }} without quotes inside [ ] or { } is read by YAML as a map of maps, which also ends here: put quotes around it."},
		{Code: codeBoolean, Title: "yes, no, on or off without quotes", Severity: diag.Error,
			Help: "YAML 1.1 reads these words as booleans, YAML 1.2 as text. Write true or false if you mean a boolean, and quotes if you mean the word."},
		{Code: codeOctal, Title: "A number with leading zeros", Severity: diag.Error,
			Help: "YAML 1.1 reads 0777 as an octal number, YAML 1.2 as 777. Write quotes if the zeros belong to a text such as an identifier, 0o777 for an octal number, and the number without zeros otherwise."},
		{Code: codeComment, Title: "A comment cuts the text short", Severity: diag.Error,
			Help: "After a space, # starts a comment, also in the middle of an expression. Put quotes around the text or use a block (\"when: >\")."},
		{Code: codeNumber, Title: "A number is out of range", Severity: diag.Error,
			Help: "Whole numbers have at most 64 bits, other numbers must be finite. Write quotes if the digits are an identifier."},
	}
}
