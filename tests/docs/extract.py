"""Takes the snippets out of the guides, so that the build can compile them.

    extract.py OUT_DIR FILE.md...        writes OUT_DIR/<guide>/<name> for each snippet, and
                                         OUT_DIR/snippets.cmake with their names
    extract.py --check ROOT FILE.md...   only checks; prints each fault as FILE:LINE: what

A ```cpp block is one of

    // file: name.cc          a whole file, compiled as it stands
    // from: path/in/repo     an excerpt, which must stand in that file letter by letter (an ellipsis
                              line `// ...` may stand for lines left out)

and a ```proto block one of `// name.proto` (generated and compiled) or `// from: path`. Any other ```cpp
or ```proto block is a fault: what a guide shows has been through a compiler.
"""
import os
import re
import sys

FENCE = re.compile(r"^```(\w*)\s*$")


def blocks(path):
    """(line number, language, text) of each fenced block."""
    language = None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fence = FENCE.match(line)
            if language is None and fence:
                language, start, lines = fence.group(1), number, []
            elif language is not None and line.rstrip() == "```":
                yield start, language, "".join(lines)
                language = None
            elif language is not None:
                lines.append(line)


def normal(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def excerpt_stands_in(excerpt, path):
    """Whether the excerpt's pieces stand in the file, in order."""
    with open(path, encoding="utf-8") as file:
        lines = normal(file.read())
    at = 0
    piece = []
    for line in normal(excerpt) + ["// ..."]:
        if line != "// ...":
            piece.append(line)
            continue
        while at + len(piece) <= len(lines) and lines[at:at + len(piece)] != piece:
            at += 1
        if at + len(piece) > len(lines):
            return False
        at += len(piece)
        piece = []
    return True


def main():
    check_only = sys.argv[1] == "--check"
    root = sys.argv[2] if check_only else os.path.join(os.path.dirname(__file__), "..", "..")
    out = None if check_only else sys.argv[1]
    guides = sys.argv[3 if check_only else 2:]
    faults = []
    sources = {}
    for guide in guides:
        name = os.path.splitext(os.path.basename(guide))[0].lower()
        for line, language, text in blocks(guide):
            if language not in ("cpp", "proto"):
                continue
            first = text.split("\n", 1)[0].strip()
            source = re.match(r"// from: (\S+)$", first)
            whole = re.match(r"// file: (\S+\.(?:cc|h))$" if language == "cpp"
                             else r"// (?:file: )?(\S+\.proto)$", first)
            if source:
                path = os.path.join(root, source.group(1))
                if not os.path.isfile(path):
                    faults.append(f"{guide}:{line}: there is no {source.group(1)}")
                elif not excerpt_stands_in(text.split("\n", 1)[1], path):
                    faults.append(f"{guide}:{line}: not an excerpt of {source.group(1)}: "
                                  "the file has changed, or the guide")
            elif whole:
                key = (name, whole.group(1))
                if key in sources:
                    faults.append(f"{guide}:{line}: {whole.group(1)} stands twice in this guide")
                sources[key] = text
            else:
                faults.append(f"{guide}:{line}: a {language} block must begin with "
                              f"`// file: NAME` or `// from: PATH`; this one with `{first}`")
    if faults:
        print("\n".join(faults))
        return 1
    if check_only:
        return 0
    listing = {}
    for (name, file), text in sources.items():
        path = os.path.join(out, name, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        old = None
        if os.path.exists(path):
            with open(path, encoding="utf-8") as existing:
                old = existing.read()
        if old != text:
            with open(path, "w", encoding="utf-8") as written:
                written.write(text)
        listing.setdefault(name, []).append(file)
    with open(os.path.join(out, "snippets.cmake"), "w", encoding="utf-8") as written:
        written.write(f"set(guides {' '.join(sorted(listing))})\n")
        for name, files in sorted(listing.items()):
            for kind in ("cc", "proto"):
                names = " ".join(f for f in sorted(files) if f.endswith("." + kind))
                written.write(f"set({name}_{kind} {names})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
