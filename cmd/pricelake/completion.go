package main

import "github.com/spf13/cobra"

// addCompletion makes `completion` now: cobra makes it once the command line is
// known, when it answers an unknown shell with its help and status 0, and has no
// examples. It prints to where root prints at this moment.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // nothing to complete: root has no commands
	}
	var first []string
	for _, shell := range completion.Commands() {
		lines, ok := completionExamples()[shell.Name()]
		if !ok {
			continue // a shell that a later cobra knows
		}
		shell.Example = examples(lines...)
		first = append(first, lines[0])
	}
	completion.Example = examples(first...)
}

// completionExamples are, for each shell, how to have completion now and in every
// shell from then on.
func completionExamples() map[string][]string {
	return map[string][]string{
		"bash": {"source <(pricelake completion bash)",
			"pricelake completion bash > ~/.local/share/bash-completion/completions/pricelake"},
		"zsh": {"source <(pricelake completion zsh)",
			`pricelake completion zsh > "${fpath[1]}/_pricelake"`},
		"fish": {"pricelake completion fish | source",
			"pricelake completion fish > ~/.config/fish/completions/pricelake.fish"},
		"powershell": {"pricelake completion powershell | Out-String | Invoke-Expression",
			"pricelake completion powershell >> $PROFILE"},
	}
}
