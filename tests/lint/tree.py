"""The tree as a whole: scripts parse, and no tracked file names somebody's machine: tree.py"""

import re
import subprocess
import sys

import cpp_source

# A path or host that exists on one machine only. (Written so that it does not find itself.)
MACHINE = re.compile(r"(?<![\w.$}])/(?:w[o]rk|r[o]ot|home|U[s]ers)/[\w.]")
REGISTRY = re.compile(r'"resolved": "(?!https://registry\.npmjs\.org/)')


def text_of(path):
    """A tracked file's text, or None if it is binary."""
    content = (cpp_source.root() / path).read_bytes()
    if b"\0" in content[:8000]:
        return None
    return content.decode("utf-8", errors="replace")


def is_bash(path, text):
    first = text.split("\n", 1)[0]
    return path.suffix == ".sh" or (first.startswith("#!") and re.search(r"\b(ba)?sh\b", first))


def script_fault(path, text):
    if not is_bash(path, text):
        return None
    shell = "bash" if "bash" in text.split("\n", 1)[0] else "sh"
    done = subprocess.run([shell, "-n"], input=text, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return f"{path}: {done.stdout.strip()}" if done.returncode else None


def text_faults(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if MACHINE.search(line):
            yield f"{path}:{number}: names a path of one machine: {line.strip()[:80]}"
        if path.name == "package-lock.json" and REGISTRY.search(line):
            yield f"{path}:{number}: names a private package registry: {line.strip()[:80]}"


def main():
    faults = []
    for path in cpp_source.tracked():
        text = text_of(path)
        if text is None:
            continue
        faults.extend(text_faults(path, text))
        fault = script_fault(path, text)
        if fault:
            faults.append(fault)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
