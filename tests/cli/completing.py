"""How shells are asked, without a terminal, what they offer for a command line.

Each command takes the words after ``counterbias`` and prints what is offered, one in a line. The
script to load is named by the environment variable SCRIPT.
"""

from __future__ import annotations

BASH = """
source "$SCRIPT"
COMP_WORDS=(counterbias)
for word in "$@"; do
  # As readline does it, "=" ends a word.
  if [[ $word == *=* ]]; then
    COMP_WORDS+=("${word%%=*}" "=")
    [[ -n ${word#*=} ]] && COMP_WORDS+=("${word#*=}")
  else
    COMP_WORDS+=("$word")
  fi
done
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p counterbias | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" counterbias "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
exit 0
"""

#: A second zsh, at a terminal of its own, types the words and presses the key: completion works
#: nowhere else. There, ``compadd`` prints what it would offer.
ZSH = r"""
zmodload zsh/zpty
mkdir -p "$HOME/functions" && cp "$SCRIPT" "$HOME/functions/_counterbias"
zpty inner zsh -f -i
# Reads lines to one that ends in $1; prints them if there is a $2.
hear() {
  local line
  while zpty -r inner line; do
    line=${line%$'\r\n'}
    [[ $line == *$1 ]] && return
    [[ -n $2 ]] && print -r -- "$line"
  done
}
zpty -w inner "fpath=($HOME/functions \$fpath); autoload -Uz compinit"
zpty -w inner "compinit -C -u -d $HOME/zcompdump"
zpty -w inner "source $HOME/offer.zsh; print ready-\$((1))"
hear ready-1
zpty -w -n inner "counterbias ${(j: :)${(q)@}}"$'\t'
hear -begin-
hear -end- show
zpty -d inner
"""

#: What the second zsh loads.
OFFER = r"""
offer() {
  print -r -- "-begin-"
  _main_complete
  print -r -- "-end-"
  exit
}
zle -C offer complete-word offer
bindkey '^I' offer
compadd() {
  local -a found
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  builtin compadd -A found "$@"
  (( $#found )) && print -rl -- $found
  builtin compadd "$@"
}
"""

FISH = """
source $SCRIPT
set words (string escape -- $argv[1..-2])
test (count $argv) = 1; and set words
complete -C "counterbias "(string join ' ' -- $words $argv[-1])
"""

ASK = {
    "bash": ["bash", "--norc", "-c", BASH, "bash"],
    "zsh": ["zsh", "-f", "-c", ZSH, "zsh"],
    "fish": ["fish", "--no-config", "-c", FISH, "--"],
}
