"""Every tracked C++ file is as clang-format says, in 100 columns: format.py [--fix] [FILE...]

clang-format leaves comments alone (many hold code), so their width is checked here.
"""

import re
import shutil
import subprocess
import sys

import cpp_source

COLUMNS = 100



def wrapped(lines):
    """The lines with over-wide comments broken: what is too much moves on to the comment's next line.

    What is indented after the slashes is code or a table: only its author can break it.
    """
    lines = list(lines)
    result = []
    while lines:
        line = lines.pop(0)
        found = re.match(r"(\s*// ?)(\S.*)", line)
        at = line.rfind(" ", len(found[1]), COLUMNS + 1) if found else -1
        if len(line) <= COLUMNS or "http" in line or at < 0:
            result.append(line)
            continue
        mark = found[1]
        result.append(line[:at].rstrip())
        rest = line[at + 1:]
        following = lines[0] if lines else ""
        if following.startswith(mark) and re.match(r"[a-z(`\"]", following[len(mark):]):
            lines[0] = f"{mark}{rest} {following[len(mark):]}"
        else:
            lines.insert(0, mark + rest)
    return result


def main(arguments):
    fix = arguments[:1] == ["--fix"]
    patterns = arguments[1:] if fix else arguments
    # Another version formats a few constructs otherwise: never fall back to one.
    program = shutil.which("clang-format-19")
    if not program:
        print("clang-format-19 is missing: apt-get install clang-format-19", file=sys.stderr)
        return 2
    top = cpp_source.root()
    paths = [str(path) for path in cpp_source.tracked(*(patterns or ("*.h", "*.cc")))
             if path.suffix in (".h", ".cc") and not cpp_source.is_generated(path)]
    if not paths:
        return 0
    if fix:
        for path in paths:
            text = (top / path).read_text(encoding="utf-8")
            mended = "\n".join(wrapped(text.split("\n")))
            if mended != text:
                (top / path).write_text(mended, encoding="utf-8")
    command = [program, "-i"] if fix else [program, "--dry-run", "-Werror"]
    done = subprocess.run(command + ["--"] + paths, cwd=top, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    failed = done.returncode != 0
    print("".join(line + "\n" for line in done.stdout.split("\n") if "error:" in line), end="")
    for path in paths:
        for number, line in enumerate((top / path).read_text(encoding="utf-8").split("\n"), 1):
            if len(line) > COLUMNS and "http" not in line:
                failed = True
                print(f"{path}:{number}: {len(line)} columns, {COLUMNS} are allowed")
    if failed and not fix:
        print("./dev format mends all but over-wide lines of examples in comments")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
