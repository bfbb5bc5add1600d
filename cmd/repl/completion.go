package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// completion writes a script that completes command lines of repl in a shell.
func completion(shell string, out io.Writer) error {
	var script string
	switch shell {
	case "bash":
		script = bashCompletion
	case "zsh":
		script = zshCompletion
	default:
		return fmt.Errorf("%w: %q is neither bash nor zsh", errUsage, shell)
	}
	var first, described []string
	second := make(map[string][]string)
	for _, v := range verbs() {
		words := strings.Fields(v.name)
		if len(words) == 2 {
			second[words[0]] = append(second[words[0]], words[1])
		}
		if len(words) == 2 && len(second[words[0]]) > 1 {
			continue
		}
		first = append(first, words[0])
		described = append(described, "'"+words[0]+":"+zshText(v.summary())+"'")
	}
	_, err := io.WriteString(out, strings.NewReplacer(
		"@VERBS@", strings.Join(first, " "),
		"@DESCRIBED@", strings.Join(described, "\n    "),
		"@REDIS@", strings.Join(second["redis"], " "),
		"@MYSQL@", strings.Join(second["mysql"], " "),
		"@FLAGS@", strings.Join(flagNames(), " "),
	).Replace(script))
	return err
}

// zshText is text in single quotes behind a colon.
func zshText(s string) string {
	return strings.NewReplacer("'", "", ":", " -").Replace(strings.TrimSuffix(s, "."))
}

func wantShell(args []string) error {
	if len(args) != 1 {
		return errors.New("want bash or zsh")
	}
	return nil
}

// The address comes first, and is remembered from the environment where it is set.
const bashCompletion = `# bash completion of repl. To have it: source <(repl completion bash)
_repl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i words=()
  COMPREPLY=()
  case $prev in
    -tls-ca|-tls-cert|-tls-key|-token-file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -timeout|-interval|-count) return ;;
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "@FLAGS@" -- "$cur"))
    return
  fi
  # The shell takes HOST:PORT apart at the colon.
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -tls-ca|-tls-cert|-tls-key|-token-file|-timeout|-interval|-count) ((i++)) ;;
      -*) ;;
      :) words[${#words[@]}-1]+=":${COMP_WORDS[i+1]}"; ((i++)) ;;
      *) words+=("${COMP_WORDS[i]}") ;;
    esac
  done
  case ${#words[@]} in
    0) COMPREPLY=($(compgen -W "127.0.0.1 localhost completion" -- "$cur")) ;;
    1) case ${words[0]} in
         completion) COMPREPLY=($(compgen -W "bash zsh" -- "$cur")) ;;
         *) [[ $prev == : || $cur == : ]] || COMPREPLY=($(compgen -W "@VERBS@" -- "$cur")) ;;
       esac ;;
    *) case ${words[1]} in
         redis) [[ ${#words[@]} == 2 ]] && COMPREPLY=($(compgen -W "@REDIS@" -- "$cur")) ;;
         mysql) [[ ${#words[@]} == 2 ]] && COMPREPLY=($(compgen -W "@MYSQL@" -- "$cur")) ;;
         backup) COMPREPLY=($(compgen -f -- "$cur")) ;;
         addNode|removeNode|replaceNode|transferLeader) COMPREPLY=($(compgen -W "http://" -- "$cur")) ;;
       esac ;;
  esac
}
complete -o default -F _repl repl
`

const zshCompletion = `#compdef repl
# zsh completion of repl. To have it: repl completion zsh > "${fpath[1]}/_repl"
_repl() {
  local -a verbs flags
  verbs=(
    @DESCRIBED@
  )
  flags=(@FLAGS@)
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- $flags
    return
  fi
  case $words[CURRENT-1] in
    -tls-ca|-tls-cert|-tls-key|-token-file) _files; return ;;
    -timeout|-interval|-count) return ;;
  esac
  case $CURRENT in
    2) compadd -- 127.0.0.1:9121 localhost:9121 completion ;;
    3) if [[ $words[2] == completion ]]; then compadd -- bash zsh; else _describe verb verbs; fi ;;
    *) case $words[3] in
         redis) (( CURRENT == 4 )) && compadd -- @REDIS@ ;;
         mysql) (( CURRENT == 4 )) && compadd -- @MYSQL@ ;;
         backup) _files ;;
         addNode|removeNode|replaceNode|transferLeader) compadd -S '' -- http:// ;;
       esac ;;
  esac
}
compdef _repl repl
`
