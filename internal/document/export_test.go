package document

// HasLayout says whether Format gives a document a layout, rather than to leave it as it is.
func HasLayout(src []byte) bool {
	_, laidOut, _ := format("a.yaml", src)
	return laidOut
}
