package config

// closest returns the name that a misspelt key most probably means, or "": at least two letters in
// three must be right.
func closest(text string, names []string) string {
	best, least := "", 0
	for _, name := range names {
		wrong := len(name) / 3
		if len(text) > len(name)+wrong {
			continue // text from outside may be very long
		}
		if d := distance(text, name); d <= wrong && (best == "" || d < least) {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace on the way from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
