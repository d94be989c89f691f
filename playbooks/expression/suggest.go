package expression

import (
	"slices"
	"strings"
)

// nearest finds the name that was probably meant, "" if none is near.
func nearest(name string, names []string) string {
	best, bestDistance := "", 3
	if len(name) <= 4 {
		bestDistance = 2
	}
	for _, candidate := range slices.Sorted(slices.Values(names)) {
		if strings.EqualFold(candidate, name) {
			return candidate
		}
		if d := distance(strings.ToLower(name), strings.ToLower(candidate), bestDistance); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" || len(name) < 4 {
		return best
	}
	// A part of a name is often remembered: "severity" for "alertSeverity", "created" for "createdDateTime".
	for _, candidate := range slices.Sorted(slices.Values(names)) {
		if strings.Contains(strings.ToLower(candidate), strings.ToLower(name)) {
			return candidate
		}
	}
	return ""
}

// didYouMean is the sentence around nearest, with a fallback that lists what there is.
func didYouMean(name string, names []string, what string) string {
	if near := nearest(name, names); near != "" {
		return "did you mean " + near + "?"
	}
	names = slices.Sorted(slices.Values(names))
	const most = 12
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return what + ": " + strings.Join(names[:most], ", ") + " …"
	}
	return what + ": " + strings.Join(names, ", ")
}

// distance is the number of edits (insert, delete, replace, swap neighbours) between two words, or limit if
// there are at least that many.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if len(x) > 64 || len(y) > 64 || len(x)-len(y) >= limit || len(y)-len(x) >= limit {
		return limit
	}
	before, previous, current := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		current[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return min(previous[len(y)], limit)
}
