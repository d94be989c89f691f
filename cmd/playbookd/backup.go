package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/playbookd/playbookd/internal/config"
	"github.com/playbookd/playbookd/internal/daemon"
)

func newBackup(s *streams) *cobra.Command {
	var journal journalFlags
	var to string
	cmd := &cobra.Command{
		Use: "backup", Short: "Copy the journal, also while the daemon runs", Args: args(0, 0),
		Long: `The copy is complete and examined, or not there. Without --to it lies beside the journal with the date in its name, as
those do that the daemon makes by itself; of these the configuration says how many are kept. To put a copy in place of a
journal: stop the daemon, move playbookd.db and playbookd.db-wal away, and copy it to playbookd.db.`,
		Example: "  playbookd backup\n  playbookd backup --to /mnt/backups/playbookd-monday.db",
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, keep := filepath.Join(journal.data, daemon.DatabaseName), config.DefaultBackups
			if journal.data == "" {
				c, err := s.config(journal.config)
				if err != nil {
					return err
				}
				path, keep = filepath.Join(c.Data, daemon.DatabaseName), c.Backup.Keep
			}
			b, err := daemon.BackUp(cmd.Context(), path, to, keep)
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(struct {
					File  string    `json:"file"`
					Bytes int64     `json:"bytes"`
					Made  time.Time `json:"made"`
				}{b.Path, b.Size, b.Made})
			}
			_, err = fmt.Fprintln(s.out, b.Path)
			return err
		},
	}
	journal.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "file to write, which must not exist")
	return cmd
}
