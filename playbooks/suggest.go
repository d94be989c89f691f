package playbooks

import (
	"slices"
	"strings"

	"github.com/playbookd/playbookd/actions"
)

// didYouMean is a mend: the word that was probably meant, or all the words if they are few.
func didYouMean(name string, words []string) string {
	if w := actions.Closest(name, words); w != "" && w != name {
		return `did you mean "` + w + `"?`
	}
	const few = 20
	if len(words) == 0 || len(words) > few {
		return ""
	}
	sorted := slices.Clone(words)
	slices.Sort(sorted)
	return "known here: " + strings.Join(sorted, ", ")
}

// fold removes what people write differently without meaning another word.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '_', '-', ' ', '.':
			return -1
		}
		return r
	}, strings.ToLower(s))
}
