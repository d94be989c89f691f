package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"time"
)

//go:embed migrations/*.sql
var scripts embed.FS

// applicationID marks our files: "plbd".
const applicationID = 0x706c6264

// migrations are the scripts that lead from one schema to the next, the first from nothing. The
// number of the schema is how many have been applied. A released script is never changed.
func migrations() ([]string, error) {
	names, err := fs.Glob(scripts, "migrations/*.sql") // sorted by name
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(names))
	for _, name := range names {
		text, err := scripts.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list = append(list, string(text))
	}
	return list, nil
}

// identify tells the number of the schema that a file has, 0 for an empty one, and refuses files
// that are not ours or that are from the future.
func identify(ctx context.Context, conn *sql.Conn, known int) (version int, err error) {
	var application, objects int
	for pragma, dest := range map[string]*int{
		"PRAGMA application_id": &application, "PRAGMA user_version": &version,
		"SELECT count(*) FROM sqlite_schema": &objects,
	} {
		if err := conn.QueryRowContext(ctx, pragma).Scan(dest); err != nil {
			return 0, err
		}
	}
	switch {
	case application == 0 && version == 0 && objects == 0:
		return 0, nil
	case application != applicationID || version < 1:
		return 0, fmt.Errorf("%w: choose another data directory", ErrForeign)
	case version > known:
		return 0, fmt.Errorf("%w: it has schema %d, this program knows %d: install the newer version again", ErrNewer, version, known)
	}
	return version, nil
}

// migrate applies what is missing, each script in a transaction of its own. A file that holds
// anything is copied first; the copy is never removed.
func migrate(ctx context.Context, conn *sql.Conn, path string, version int, known []string, log *slog.Logger) error {
	if version > 0 {
		copied := fmt.Sprintf("%s.schema%d-%s.backup", path, version, time.Now().UTC().Format("20060102T150405.000000000Z"))
		if err := vacuumInto(ctx, conn, copied); err != nil {
			return fmt.Errorf("copy before the upgrade from schema %d to %d: %w", version, len(known), err)
		}
		log.Info("database copied before upgrade", "file", copied, "from_schema", version, "to_schema", len(known))
	}
	for i := version; i < len(known); i++ {
		if err := apply(ctx, conn, known[i], i+1); err != nil {
			return fmt.Errorf("upgrade to schema %d (nothing was changed by it): %w", i+1, err)
		}
	}
	return nil
}

func apply(ctx context.Context, conn *sql.Conn, script string, version int) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, text := range []string{
		script,
		fmt.Sprintf("PRAGMA user_version = %d", version),
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// verifySchema compares the tables, indexes and triggers of a file with those that the
// migrations make. A difference means that somebody has worked on the file: a trigger could make
// the journal say what didn't happen.
func verifySchema(ctx context.Context, conn *sql.Conn, known []string) error {
	got, err := schema(ctx, conn)
	if err != nil {
		return err
	}
	want, err := expectedSchema(ctx, known)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			return fmt.Errorf("%s is missing or different", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			return fmt.Errorf("%q is not ours", name)
		}
	}
	return nil
}

func expectedSchema(ctx context.Context, known []string) (_ map[string]string, err error) {
	pool := sql.OpenDB(connector{driver: newDriver(), dsn: ":memory:"})
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for i, script := range known {
		if err := apply(ctx, conn, script, i+1); err != nil {
			return nil, err
		}
	}
	return schema(ctx, conn)
}

// schema reads all that a file declares, but for SQLite's own statistics.
func schema(ctx context.Context, conn *sql.Conn) (map[string]string, error) {
	const query = `SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'`
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	declared := map[string]string{}
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, err
		}
		declared[kind+" "+name] = text
	}
	return declared, rows.Err()
}
