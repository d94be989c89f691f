package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/actions"
	"github.com/playbookd/playbookd/playbooks"
)

func newActions(s *streams) *cobra.Command {
	var docs bool
	cmd := &cobra.Command{
		Use: "actions [NAME]", Short: "List the actions that steps can call, or describe one", Args: args(0, 1),
		Example: "  playbookd actions\n  playbookd actions alert.update",
		RunE: func(_ *cobra.Command, args []string) error {
			registry := catalog()
			specs := registry.Specs()
			if len(args) == 1 {
				a, err := registry.Lookup(args[0])
				if err != nil {
					return err
				}
				specs = []actions.Spec{a.Spec()}
			}
			switch {
			case s.json && len(args) == 1:
				return s.printJSON(specs[0])
			case s.json:
				return s.printJSON(specs)
			case docs || len(args) == 1:
				_, err := fmt.Fprint(s.out, actions.Docs(specs))
				return err
			}
			var rows [][]string
			for _, spec := range specs {
				rows = append(rows, []string{spec.Name, effects(spec), spec.Summary})
			}
			return table(s.out, []string{"ACTION", "EFFECT", "WHAT IT DOES"}, rows)
		},
	}
	cmd.Flags().BoolVar(&docs, "docs", false, "print the whole reference as Markdown")
	return cmd
}

func effects(spec actions.Spec) string {
	var list []string
	for _, p := range spec.Parts {
		list = append(list, string(p.Effect))
	}
	return strings.Join(list, " + ")
}

func newSchema(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of playbooks, for editors", Args: args(0, 0),
		Long: `Schema prints the JSON Schema of playbooks. Save it and begin a playbook with

  # yaml-language-server: $schema=playbook.schema.json

and an editor with the YAML language server completes keys, actions, inputs and values.`,
		RunE: func(*cobra.Command, []string) error {
			return s.printJSON(playbooks.Schema(catalog().Specs()))
		},
	}
}
