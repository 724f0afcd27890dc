package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// allRoles stands for every role on a command line.
const allRoles = "all"

// chosenRoles are the roles that a command line names, each once, of those that
// its command knows. what says which those are.
func chosenRoles(args, known []string, what string) ([]string, error) {
	names := strings.Join(known, ", ") + ", or " + allRoles
	if len(args) == 0 {
		return nil, usageError{errors.New("name a role; " + what + " are " + names)}
	}
	var roles []string
	for _, arg := range args {
		switch {
		case arg == allRoles:
			roles = known
		case !slices.Contains(known, arg):
			return nil, usageError{fmt.Errorf("no role %q; %s are %s", arg, what, names)}
		case !slices.Contains(roles, arg):
			roles = append(roles, arg)
		}
	}
	return roles, nil
}
