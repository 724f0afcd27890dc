package embed

import (
	"fmt"
	"os"
	"path/filepath"
)

// copyUsers makes the folder to hold the XML files of from and no others; the
// engine can read nothing outside its own folder. An empty from means none.
func copyUsers(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("clearing the users of ClickHouse: %w", err)
	}
	if from == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(from, "*.xml"))
	if err != nil {
		return fmt.Errorf("looking for users of ClickHouse in %q: %w", from, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("no users of ClickHouse: %q holds no file *.xml", from)
	}
	if err := makeDir(to); err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading users of ClickHouse: %w", err)
		}
		if err := writeFile(filepath.Join(to, filepath.Base(file)), text); err != nil {
			return err
		}
	}
	return nil
}
