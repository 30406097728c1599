"""Completion scripts, made by shtab from the parsers.

What an argument takes is known by its choices or else by its metavar: a file, a folder, a bias
model, or something that only the user knows. The names of bias models are those of the plug-ins
installed where the user presses the key: the script asks ``counterbias models --names``.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

import shtab

from counterbias.cli.program import SHELLS
from tools.parsers import build_whole_parser, commands_of

#: What these take, only the user knows.
_UNKNOWN = frozenset(
    {
        *("N", "X", "X[,…]", "RATE", "SHARE", "MAPQ", "UP,DOWN", "MEAN,SD"),
        *("TYPE", "ATTRIBUTE", "QUERY", "TEXT", "KEY=VALUE", "NAME", "NAMES", "TAG"),
    }
)
_FILES = frozenset(
    {"alignments", "annotation", "FILE", "FASTA", "GTF", "PREFIX", "NAMES|FILE", "TABLE"}
)
_FOLDERS = frozenset({"DIR"})


def _function(name: str) -> dict[str, Any]:
    """Return how each shell calls a function of :data:`_FUNCTIONS`."""
    return {"bash": name, "zsh": name, "fish": f"({name})"}


_FILE = shtab.FILE | {"fish": "(_counterbias_path)"}
_FOLDER = shtab.DIRECTORY | {"fish": "(_counterbias_folder)"}
_MODEL = _function("_counterbias_model")
_MODEL_OR_FILE = _function("_counterbias_model_or_file")
_MODELS = _function("_counterbias_models_or_file")
_BIAS = _function("_counterbias_bias_or_file")
#: Option and metavar → what it takes, for options on bias models.
_MODEL_OPTIONS = {
    ("--bias-model", "NAME"): _MODEL,
    ("--bias-model", "NAME|FILE"): _MODEL_OR_FILE,
    ("--bias-model", "builtin|none|FILE[,…]"): _BIAS,
    ("--models", "NAMES"): _MODELS,
}

#: Shell → functions that complete bias models. In bash, $1 is the word to complete; a name with
#: "file" in it makes shtab's code treat what it prints as file names. In fish, there are functions
#: for files as well, since those of shtab do not expect ``--option=FILE``.
_FUNCTIONS = {
    "bash": """\
_counterbias_names() {
  counterbias models --names 2>/dev/null
}
_counterbias_model() {
  compgen -W "auto $(_counterbias_names)" -- "$1"
}
_counterbias_model_or_file() {
  compgen -W "auto none $(_counterbias_names)" -- "$1"
  compgen -f -- "$1"
}
_counterbias_models_or_file() {
  local before=""
  [[ $1 == *,* ]] && before="${1%,*},"
  compgen -P "$before" -W "$(_counterbias_names)" -- "${1##*,}"
  compgen -f -- "$1"
}
_counterbias_bias_or_file() {
  compgen -W "builtin none" -- "$1"
  compgen -f -- "$1"
}""",
    "zsh": """\
_counterbias_names() {
  names=(${(f)"$(counterbias models --names 2>/dev/null)"})
}
_counterbias_model() {
  local -a names; _counterbias_names
  compadd -- auto $names
}
_counterbias_model_or_file() {
  local -a names; _counterbias_names
  compadd -- auto none $names
  _files
}
_counterbias_models_or_file() {
  local -a names; _counterbias_names
  _sequence compadd - $names
  _files
}
_counterbias_bias_or_file() {
  compadd -- builtin none
  _files
}""",
    "fish": """\
function _counterbias_word
  commandline -ct | string replace -r '^--[^=]*=' ''
end
function _counterbias_path
  __fish_complete_path (_counterbias_word)
end
function _counterbias_folder
  __fish_complete_directories (_counterbias_word)
end
function _counterbias_names
  counterbias models --names 2>/dev/null
end
function _counterbias_model
  echo auto
  _counterbias_names
end
function _counterbias_model_or_file
  printf '%s\\n' auto none
  _counterbias_names
  _counterbias_path
end
function _counterbias_models_or_file
  __fish_complete_list , _counterbias_names
  _counterbias_path
end
function _counterbias_bias_or_file
  printf '%s\\n' builtin none
  _counterbias_path
end""",
}

#: bash takes ``--option=value`` for three words, which shtab's code does not expect.
_BASH_END = """

# For bash, --option=value is three words: here it becomes two.
_counterbias() {
  local -a words=()
  local index
  for ((index = 0; index <= COMP_CWORD; index++)); do
    if [[ ${COMP_WORDS[index]} != "=" ]]; then
      words+=("${COMP_WORDS[index]}")
    elif ((index == COMP_CWORD)); then
      words+=("")
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$((${#words[@]} - 1))
  _shtab_counterbias "$@"
}

complete -o bashdefault -F _counterbias counterbias"""

#: Names of an option with a value in zsh's script: they lack the signs that allow ``-xVALUE`` and
#: ``--option=VALUE``.
_VALUED = re.compile(r'^  ["*{].*?--[\w-]+\b(?=\}?"?\[.*\]:)', re.MULTILINE)


def completion_scripts() -> dict[str, str]:
    """Return shell → script.

    Raises:
        ValueError: an argument has a metavar that is not known here.
    """
    parser = build_whole_parser()
    for command in commands_of(parser).values():
        command.description = None  # so that the one line in the list of commands is shown
        for action in command._actions:
            taken = _taken_by(action)
            if taken is not None:
                action.complete = taken  # type: ignore[attr-defined]  # where shtab looks
    scripts = {}
    for shell in SHELLS:
        script = shtab.complete(parser, shell, preamble=_FUNCTIONS[shell])
        if shell == "bash":
            script += _BASH_END
        if shell == "zsh":
            script = _VALUED.sub(lambda names: names[0].replace(",", "+,") + "=", script)
        scripts[shell] = "".join(f"{line.rstrip()}\n" for line in script.strip().splitlines())
    return scripts


def _taken_by(action: argparse.Action) -> dict[str, Any] | None:
    """Return how each shell completes the value of an argument; None for shtab's default.

    That is the choices, or nothing.
    """
    metavar = str(action.metavar)
    for option in action.option_strings:
        if (option, metavar) in _MODEL_OPTIONS:
            return _MODEL_OPTIONS[option, metavar]
    if metavar in _FILES:
        return _FILE
    if metavar in _FOLDERS:
        return _FOLDER
    if action.nargs != 0 and not action.choices and metavar not in _UNKNOWN:
        argument = "/".join(action.option_strings) or action.dest
        raise ValueError(f"tools/completion.py does not say what {argument} {metavar} takes")
    return None
