"""What the lint scripts need of C++: tokens with their lines, without comments and literals."""

import pathlib
import re
import subprocess

_TOKEN = re.compile(r"""
    (?P<space>\s+)
  | (?P<comment>//(?:[^\n\\]|\\.|\\\n)*|/\*.*?\*/)
  | (?P<raw>(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]*)\(.*?\)(?P=delimiter)")
  | (?P<string>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*")
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\\n|\\.)*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:'?[\w.]|[eEpP][+-])*)
  | (?P<character>(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')
  | (?P<punctuation>::|->|\[\[|\]\]|.)
""", re.VERBOSE | re.DOTALL | re.MULTILINE)

OPEN = {"(": ")", "[": "]", "{": "}", "[[": "]]"}
CLOSE = {closing: opening for opening, closing in OPEN.items()}


class Token:
    """A name, a number, a piece of punctuation, or "" for a literal; and the line it stands on."""

    __slots__ = ("text", "line", "kind", "match")

    def __init__(self, text, line, kind):
        self.text = text
        self.line = line
        self.kind = kind
        self.match = -1  # index of the bracket that closes or opens this one

    def __repr__(self):
        return f"{self.text}@{self.line}"


def tokens_of(text):
    """The tokens of C++ source text, brackets matched; comments and directives are left out."""
    tokens = []
    line = 1
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        kind = found.lastgroup if found.lastgroup != "delimiter" else "raw"
        value = found.group()
        if kind == "directive" and "/*" in value:
            # A comment that a directive opens may go on for lines: take the directive up to it.
            value = value[:value.index("/*")]
        position += len(value)
        if kind in ("name", "number", "punctuation"):
            # a[b[0]] ends with two brackets, not with an attribute's end.
            if value == "]]" and not _inside_attribute(tokens):
                tokens.append(Token("]", line, kind))
                value = "]"
                position -= 1
            else:
                tokens.append(Token(value, line, kind))
                line += value.count("\n")
                continue
            continue
        if kind in ("raw", "string", "character"):
            tokens.append(Token("", line, "literal"))
        line += value.count("\n")
    _match_brackets(tokens)
    return tokens


def _inside_attribute(tokens):
    depth = 0
    for token in reversed(tokens):
        if token.text in ("]", "]]"):
            depth += 1
        elif token.text in ("[", "[["):
            if depth == 0:
                return token.text == "[["
            depth -= 1
        elif token.text in (";", "{", "}"):
            return False
    return False


def _match_brackets(tokens):
    open_brackets = []
    for index, token in enumerate(tokens):
        if token.text in OPEN:
            open_brackets.append(index)
        elif token.text in CLOSE:
            # Macros may leave brackets unbalanced: drop what cannot match.
            while open_brackets and tokens[open_brackets[-1]].text != CLOSE[token.text]:
                open_brackets.pop()
            if open_brackets:
                opening = open_brackets.pop()
                tokens[opening].match = index
                token.match = opening


def includes_of(text):
    """(line, path, quoted) of each #include that is not in a comment."""
    without_comments = re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"',
        lambda found: found.group() if found.group().startswith('"')
        else "\n" * found.group().count("\n"), text, flags=re.DOTALL)
    result = []
    for number, line in enumerate(without_comments.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if found:
            result.append((number, found.group(1) or found.group(2), found.group(1) is not None))
    return result


def root():
    """The repository's top folder."""
    return pathlib.Path(__file__).resolve().parent.parent.parent


def tracked(*patterns):
    """Paths, relative to root(), of the files that git knows (new ones included) and that exist."""
    top = root()
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={top}", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard", "--", *patterns],
        cwd=top, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    return sorted({pathlib.PurePosixPath(name) for name in listed if name and (top / name).is_file()})


def is_generated(path):
    """Files that a program wrote: golden files are compared byte by byte, not read."""
    return path.parts[:2] == ("tests", "golden")
