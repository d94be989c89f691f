package actions

import "strings"

// maxCompared is how much of a name is compared with others: hostile names may be long.
const maxCompared = 64

// Closest returns the word that somebody who wrote name most probably meant, or "". Case,
// hyphens, underscores and dots count for nothing.
func Closest(name string, words []string) string {
	folded := fold(name)
	best, least := "", len(folded)/3+2
	if len(folded) <= 3 {
		least = 2
	}
	for _, w := range words {
		if d := distance(folded, fold(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// fold takes away what people get wrong without meaning another word.
func fold(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(s[:min(len(s), maxCompared)]))
	return s
}

// distance counts insertions, removals and replacements between a and b, and swapped
// neighbours once.
func distance(a, b string) int {
	var (
		s, t         = []rune(a), []rune(b)
		earlier, row = []int(nil), make([]int, len(t)+1)
	)
	for j := range row {
		row[j] = j
	}
	for i := range s {
		next := make([]int, len(t)+1)
		next[0] = i + 1
		for j := range t {
			cost := 1
			if s[i] == t[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && s[i] == t[j-1] && s[i-1] == t[j] {
				next[j+1] = min(next[j+1], earlier[j-1]+1)
			}
		}
		earlier, row = row, next
	}
	return row[len(t)]
}
