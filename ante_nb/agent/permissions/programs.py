"""What is known of programs: which only read, and with which options they stop doing so.

Allow-lists throughout: a program, subcommand or option that is not named here is unknown. ``Options``
names the options that make an otherwise harmless program write or run something; everything else about
it is fine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ante_nb.agent.permissions.shell import Word


@dataclass(frozen=True, slots=True)
class Options:
    """Options that make a program unsafe (``letters``, ``names`` without dashes), and ``most`` operands.

    GNU programs take any unambiguous beginning of a long option, so a beginning of a name counts too.
    """

    letters: str = ""
    names: tuple[str, ...] = ()
    most: int | None = None

    def refuses(self, words: list[Word]) -> str | None:
        """Why these arguments are not known to be harmless, or ``None``."""
        operands = 0
        for word in words:
            text = word.text
            if word.glob and text[:1] in "*?[" and (self.letters or self.names or self.most is not None):
                return "a file name may be taken for an option"
            if text.startswith("--") and len(text) > 2:
                given = text[2:].split("=", 1)[0]
                if any(name.startswith(given) or given.startswith(name) for name in self.names):
                    return f"the option {text.split('=', 1)[0]}"
            elif text.startswith("-") and len(text) > 1:
                if any(letter in self.letters for letter in text[1:]):
                    return f"the option {text[:20]}"
            else:
                operands += 1
        if self.most is not None and operands > self.most:
            return "it may write to its last file"
        return None


def names(text: str) -> frozenset[str]:
    """The names in a text, separated by white space."""
    return frozenset(text.split())


_ANY = Options()
_READERS: dict[str, Options] = {
    **dict.fromkeys(
        names(
            "cat head tail ls pwd true false : whoami id uname arch nproc which basename dirname realpath "
            "readlink stat df free uptime cmp comm cut tr nl tac rev fold expand unexpand paste join md5sum "
            "sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum seq sleep "
            "od hexdump expr factor groups tty lscpu lsblk pgrep zcat bzcat xzcat "
            "printenv column echo tsort colrm look"
        ),
        _ANY,
    ),
    # Options that follow links lead out of the directories that the paths name.
    **dict.fromkeys(["grep", "egrep", "fgrep"], Options(letters="R", names=("dereference-recursive",))),
    # What is no file name in the list that these take is told in an error, and so shown.
    "du": Options(letters="LDHX", names=("dereference", "files0-from", "exclude-from")),
    # Follows the links that it finds on its way.
    "diff": Options(letters="r", names=("recursive",)),
    "sort": Options(letters="oT", names=("output", "compress-program", "temporary-directory", "files0-from")),
    "uniq": Options(most=1),
    "xxd": Options(letters="r", most=1),
    "tree": Options(letters="oRl", names=("output",)),
    "file": Options(letters="CzZ", names=("compile", "uncompress")),
    "rg": Options(letters="zL", names=("pre", "hostname-bin", "search-zip", "follow")),
    "fd": Options(letters="xXL", names=("exec", "exec-batch", "follow")),
    "date": Options(letters="sfr", names=("set", "file", "reference")),
    "hostname": Options(letters="Fb", names=("file", "boot"), most=0),
    "nvidia-smi": Options(
        letters="rpeacdmf", names=("gpu-reset", "persistence", "filename", "applications"), most=0
    ),
}
_READERS["fdfind"] = _READERS["fd"]

NO_CONTENT = names(
    "pwd true false : whoami id uname arch nproc which basename dirname ls du df free uptime date echo printf "
    "find seq sleep expr hostname groups tty cd type command exit set"
)
"""Programs that show nothing of what is inside a file."""

FILTERS = names("head tail wc sort uniq cut tr nl tac rev column")
"""Programs that, without a file to read, work on what is piped into them."""

PATTERN_FIRST = names("grep egrep fgrep rg sed awk gawk mawk jq")
"""Programs whose first operand is a pattern or a script rather than a file."""

VERSION_ONLY = names(
    "python python3 node npm pip pip3 uv java gcc g++ clang make cmake docker ruby perl php bash zsh git gh conda "
    "jupyter julia R ruff mypy black ffmpeg pandoc sqlite3 psql curl wget rg fd"
)
"""Programs that print their version whatever lies around (yarn, cargo, go ... first run what a project says)."""

_TEST_OPERATORS = names(
    "-a -b -c -d -e -f -g -h -k -p -r -s -t -u -w -x -G -L -N -O -S -z -n -ef -nt -ot -eq -ne -lt -le -gt -ge "
    "-o = == != ! [ ]"
)
_SED_SCRIPT = re.compile(
    r"(?:(?:\d+|\$)?(?:,(?:\d+|\$|\+\d+))?|/[^/;{}\\\n]*/)?\s*[pdq=]"
    r"|s([/|,#])(?:(?!\1)[^\n])*\1(?:(?!\1)[^\n])*\1[gIip0-9]*"
)
_AWK_SCRIPT = re.compile(
    r"\s*(?:NR\s*[<>=!]=?\s*\d+\s*)?(?:\{\s*print(?:\s+(?:\$?(?:NF|NR|\d+)|\"[^\"\\|>]*\")"
    r"(?:\s*,?\s*(?:\$?(?:NF|NR|\d+)|\"[^\"\\|>]*\"))*)?\s*;?\s*\})?\s*"
)
_FIND_WORDS = names(
    "-P -name -iname -path -ipath -wholename -regex -iregex -regextype -type -xtype -size -empty -maxdepth "
    "-mindepth -depth -mtime -mmin -atime -amin -ctime -cmin -newer -anewer -cnewer -user -group -uid -gid -nouser "
    "-nogroup -perm -links -inum -samefile -readable -writable -executable -print -print0 -printf -ls -prune -quit "
    "-not -a -and -o -or -true -false -xdev -mount -daystart -noleaf -lname -ilname -fstype -used"
)
_GIT_PLAIN = names(
    "status log show diff rev-parse ls-files ls-tree blame annotate shortlog describe cat-file rev-list name-rev "
    "merge-base show-ref for-each-ref count-objects diff-tree diff-index diff-files whatchanged cherry "
    "check-ignore check-attr version range-diff"
)
_GIT_OPTIONS = Options(
    letters="O",
    names=("output", "ext-diff", "textconv", "open-files-in-pager", "contents", "filters", "show-signature"),
)


def reads_only(words: list[Word]) -> str | None:
    """Why a simple command is not known to only read, or ``None`` where it is."""
    name, args = program(words[0].text), words[1:]
    if name is None:
        return f"{words[0].text} is not in a system directory"
    if name in VERSION_ONLY and _texts(args) in (["--version"], ["-V"]):
        return None
    special = _SPECIAL.get(name)
    if special is not None:
        return special(args)
    options = _READERS.get(name)
    if options is None:
        return f"{name} is not on the read-only list"
    why = options.refuses(args)
    return f"{why} of {name}" if why and why.startswith("the option") else why


def program(text: str) -> str | None:
    """The name of the program that a command word starts; ``None`` for one in a place of its own."""
    if "/" not in text:
        return text
    head, _, name = text.rpartition("/")
    return name if head in ("/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin") else None


def _texts(args: list[Word]) -> list[str]:
    return [word.text for word in args]


def _find(args: list[Word]) -> str | None:
    for word in args:
        text = word.text
        if word.glob and text[:1] in "*?[":
            return "a file name may be taken for an option of find"
        if text.startswith("-") and text not in _FIND_WORDS and not re.fullmatch(r"-\d+|-O[0-3]", text):
            return f"{text} of find"
    return None


def _sed(args: list[Word]) -> str | None:
    scripts: list[str] = []
    operands: list[str] = []
    rest = iter(args)
    for word in rest:
        text = word.text
        if word.glob and text[:1] in "*?[":
            return "a file name may be taken for an option of sed"
        if text in ("-e", "--expression"):
            scripts.append(getattr(next(rest, None), "text", ""))
        elif text.startswith("-") and len(text) > 1:
            if not re.fullmatch(r"-[nErsuz]+|--quiet|--silent|--regexp-extended|--debug", text):
                return f"the option {text} of sed"
        else:
            operands.append(text)
    scripts = scripts or operands[:1]
    for script in scripts:
        for part in re.split(r";|\n", script):
            if len(part) > 500 or (part.strip() and not _SED_SCRIPT.fullmatch(part.strip())):
                return "its sed script"
    return None if scripts else "sed without a script"


def _awk(args: list[Word]) -> str | None:
    texts = _texts(args)
    index = 0
    while index < len(texts) and texts[index].startswith("-"):
        if texts[index] == "-F":
            index += 2
        elif texts[index].startswith("-F"):
            index += 1
        else:
            return f"the option {texts[index]} of awk"
    # One space for many: the pattern is not linear in runs of them.
    if index >= len(texts) or not _AWK_SCRIPT.fullmatch(" ".join(texts[index][:500].split()) or "x"):
        return "its awk script"
    operands = args[index + 1 :]
    if any(word.text.startswith("-") or (word.glob and word.text[:1] in "*?[") for word in operands):
        return "an option of awk"
    return None


def _git(args: list[Word]) -> str | None:
    rest = list(args)
    while rest and rest[0].text.startswith("-"):
        flag = rest.pop(0).text
        if flag not in ("--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs"):
            return f"the option {flag} of git"
    if not rest:
        return None
    command, words = rest[0].text, rest[1:]
    texts = _texts(words)
    flags = [text for text in texts if text.startswith("-")]
    operands = [text for text in texts if not text.startswith("-")]
    if command in _GIT_PLAIN:
        why = _GIT_OPTIONS.refuses(words)
        return f"{why} of git {command}" if why else None
    listing = {
        "branch": {
            "-a",
            "-r",
            "-v",
            "-vv",
            "-l",
            "--list",
            "--all",
            "--remotes",
            "--show-current",
            "--no-color",
        },
        "tag": {"-l", "--list", "-n"},
        "remote": {"-v", "--verbose"},
    }
    if command in listing:
        if any(flag not in listing[command] for flag in flags):
            return f"an option of git {command}"
        if not operands or {"-l", "--list"} & set(flags):
            return None
        if command == "remote" and operands[0] in ("get-url",) and not flags:
            return None
        return f"git {command} with a name"
    if command == "stash" and texts[:1] in (["list"], ["show"]):
        return _GIT_OPTIONS.refuses(words)
    if command in ("worktree", "submodule", "notes") and texts in (["list"], ["status"]):
        return None
    if command == "reflog" and texts[:1] in ([], ["show"], ["HEAD"]):
        # It takes what git log takes: --output=FILE.
        why = _GIT_OPTIONS.refuses(words)
        return f"{why} of git reflog" if why else None
    if command == "config":
        if texts[:1] in (["--get"], ["--get-all"], ["--list"], ["-l"], ["get"], ["list"]) and len(flags) <= 1:
            return None
        return "git config that may write"
    if command == "grep":
        return Options(letters="Of", names=("open-files-in-pager", "ext-grep", "textconv")).refuses(words)
    return f"git {command} is not on the read-only list"


def _wc(args: list[Word]) -> str | None:
    return "its options" if any(word.text.startswith("--f") for word in args) else None


def _strings(args: list[Word]) -> str | None:
    # @FILE is put in as words; those that name nothing are told in errors.
    return "an argument from a file" if any(word.text.startswith("@") for word in args) else None


def _jq(args: list[Word]) -> str | None:
    # import "/a/b" as $x; reads /a/b.json.
    if any(re.search(r"\b(?:import|include|modulemeta|get_search_list)\b", word.text) for word in args):
        return "its jq script"
    why = Options(letters="Lf", names=("library-path", "from-file", "run-tests")).refuses(args)
    return f"{why} of jq" if why else None


def _echo_options(args: list[Word]) -> str | None:
    # printf -v assigns, and the subscript of an array is evaluated: printf -v 'a[$(id)]'.
    return "an option of printf" if not args or args[0].text.startswith("-") or args[0].variable else None


def _test(args: list[Word]) -> str | None:
    # test -v 'a[$(id)]' runs what is in the subscript.
    bad = [word.text for word in args if word.text.startswith("-") and word.text not in _TEST_OPERATORS]
    return f"the operator {bad[0]} of test" if bad else None


def _cd(args: list[Word]) -> str | None:
    plain = len(args) == 1 and not args[0].glob and not args[0].text.startswith(("-", "+"))
    return None if plain else "cd to a place known only when it runs"


def _only(*allowed: str) -> Callable[[list[Word]], str | None]:
    """A program that is harmless with exactly these first words (regular expressions)."""

    def check(args: list[Word]) -> str | None:
        line = " ".join(_texts(args))
        return None if any(re.fullmatch(form, line) for form in allowed) else "its arguments"

    return check


def _wrapper(takes: str) -> Callable[[list[Word]], str | None]:
    """A program that runs the command after its own options."""

    def check(args: list[Word]) -> str | None:
        rest = list(args)
        while rest and re.fullmatch(takes, rest[0].text):
            rest.pop(0)
        if not rest or rest[0].text.startswith("-"):
            return "its options"
        return reads_only(rest)

    return check


def _date(args: list[Word]) -> str | None:
    value = False
    for word in args:
        # An operand without a plus sets the clock.
        if not word.text.startswith(("+", "-")) and not value:
            return "date that may set the clock"
        value = word.text in ("-d", "--date")
    # -f shows the lines of a file that are no dates.
    return _READERS["date"].refuses([word for word in args if word.text.startswith("-")])


_SPECIAL: dict[str, Callable[[list[Word]], str | None]] = {
    "find": _find,
    "sed": _sed,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "git": _git,
    "jq": _jq,
    "wc": _wc,
    "strings": _strings,
    "printf": _echo_options,
    "test": _test,
    "[": _test,
    "cd": _cd,
    "date": _date,
    "set": _only(r"[-+][euxo]+(?: pipefail)?"),
    "exit": _only(r"\d*"),
    "type": _only(r"(?:-[atpP]+ )?[\w.+ -]+"),
    "command": _only(r"-[vV] [\w.+ -]+"),
    "env": _only(""),
    "ip": _only(r"(?:-br )?(?:a|addr|link|route)(?: show)?"),
    # A name with a colon is another machine, which tar reaches through a program of its own.
    "tar": _only(r"-?t[vzjJ]*f [^-\s:][^\s:]*"),
    "unzip": _only(r"-[lZ1v]+ [^-\s]\S*"),
    "zipinfo": _only(r"(?:-1 )?[^-\s]\S*"),
    "pip": _only(r"(?:list|freeze)(?: --format=\w+)?", r"show(?: -f)?(?: [\w.-]+)+", r"check"),
    "conda": _only(r"(?:list|info)", r"env list"),
    "uv": _only(r"pip (?:list|freeze)", r"pip show(?: [\w.-]+)+"),
    # ps e shows the environment of other processes, keys included.
    "ps": _only("", "a?ux?", "-e?f?", "-A", r"-p \d+", r"-fp? \d+"),
    "time": _wrapper(r"-p"),
    "nice": _wrapper(r"-n\d+|-\d+"),
    "timeout": _wrapper(r"\d+(?:\.\d+)?[smhd]?|-k|--foreground"),
}
_SPECIAL["pip3"] = _SPECIAL["pip"]
_SPECIAL["mamba"] = _SPECIAL["conda"]
