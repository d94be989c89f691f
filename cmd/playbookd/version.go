package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/engine"
	"github.com/playbookd/playbookd/store"
)

type versionInfo struct {
	Version   string `json:"version"`
	Revision  string `json:"revision,omitempty"`
	Modified  bool   `json:"modified,omitempty"`
	Go        string `json:"go"`
	Platform  string `json:"platform"`
	SQLite    string `json:"sqlite"`
	Schema    int    `json:"schema"`    // of the database
	Semantics int    `json:"semantics"` // of the decision function
}

func version() versionInfo {
	v := versionInfo{
		Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		SQLite: store.SQLiteVersion(), Schema: store.SchemaVersion(), Semantics: engine.Semantics,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func newVersion(s *streams) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this program is made of", Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v := version()
			if s.json {
				return s.printJSON(v)
			}
			fmt.Fprintf(s.out, "playbookd %s\n%s %s, SQLite %s, database schema %d, semantics %d\n",
				v.Version, v.Go, v.Platform, v.SQLite, v.Schema, v.Semantics)
			return nil
		},
	}
}
