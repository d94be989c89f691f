package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/playbookd/playbookd/internal/mutant"
)

// BusyTimeout is how long SQLite waits for a lock that another program holds. It is short
// because the driver can't be interrupted while it waits; our own writers queue in Go instead.
const BusyTimeout = 2 * time.Second

// minSQLite is the first version without the corruption of write-ahead logs that were reset
// while another connection wrote: 3.51.3.
const minSQLite = 3_051_003

func checkSQLite(version string, number int) error {
	if number < minSQLite {
		return fmt.Errorf("built with SQLite %s, which can damage databases: build with 3.51.3 or later", version)
	}
	return nil
}

// connector opens connections to one file. It is used instead of a registered driver, whose
// registration would be global.
type connector struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// connect makes a pool of connections to the file. None is opened yet.
func connect(path string, options url.Values) *sql.DB {
	options.Set("_busy_timeout", strconv.FormatInt(BusyTimeout.Milliseconds(), 10))
	options.Set("_foreign_keys", "1")
	options.Set("_mutex", "no") // each connection is used from one goroutine at a time
	return sql.OpenDB(connector{driver: newDriver(), dsn: dsn(path, options)})
}

func newDriver() *sqlite3.SQLiteDriver { return &sqlite3.SQLiteDriver{ConnectHook: prepareConn} }

// writerCache is how many KiB of pages the writer keeps.
const writerCache = 16 << 10

func connectWriter(path string) *sql.DB {
	synchronous := "FULL"
	if mutant.On(mutant.SkipSync) {
		synchronous = "OFF"
	}
	return connect(path, url.Values{
		"mode": {"rw"}, "_txlock": {"immediate"}, "_synchronous": {synchronous},
		"_cache_size": {strconv.Itoa(-writerCache)}, // negative: KiB rather than pages
	})
}

func connectReaders(path string) *sql.DB {
	return connect(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}})
}

// prepareConn has SQLite take the file for hostile: its schema may not call functions with side
// effects, and damaged pages are noticed rather than followed. What it notes down to undo a
// savepoint stays in memory: in files that costs half of the speed.
func prepareConn(c *sqlite3.SQLiteConn) error {
	for _, pragma := range []string{
		"PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA temp_store = MEMORY",
	} {
		if _, err := c.Exec(pragma, nil); err != nil {
			return err
		}
	}
	return nil
}

// dsn writes a path as the URI that SQLite takes, whatever characters are in it.
func dsn(path string, options url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a Windows drive
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + options.Encode()
}
