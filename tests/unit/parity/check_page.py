"""Checks that every test that docs/nestjs-parity.md names is there.

    check_page.py PAGE BINARY [--without PREFIX]...

Suites whose names begin with PREFIX are of parts that are not built here.
"""
import re
import subprocess
import sys

# Suites of three letters and more, a dot, a name in one piece: `Suite.Name`.
NAMED = re.compile(r"`([A-Z][A-Za-z0-9]*)\.([A-Z][A-Za-z0-9]*)`")


def tests_of(binary):
    listed = subprocess.run([binary, "--gtest_list_tests"], check=True, capture_output=True,
                            text=True, timeout=60).stdout
    suite, tests = "", set()
    for line in listed.splitlines():
        line = line.split("#")[0].rstrip()
        if line.endswith(".") and not line.startswith(" "):
            # "Values/Suite." of a suite with parameters, whose tests are "Name/0" and so on.
            suite = line[:-1].split("/")[-1]
        elif line.startswith("  "):
            tests.add((suite, line.strip().split("/")[0]))
    return tests


def main(arguments):
    page, binary, *rest = arguments
    without = tuple(rest[1::2])
    with open(page, encoding="utf-8") as file:
        lines = file.readlines()
    tests = tests_of(binary)
    faults, named = [], 0
    for number, line in enumerate(lines, 1):
        if not line.startswith("|"):
            continue
        # The last column is ours.
        ours = line.rstrip().strip("|").split("|")[-1].strip()
        if not ours:
            faults.append(f"{page}:{number}: a row without an answer: name a test, or say why not")
        for suite, name in NAMED.findall(ours):
            named += 1
            if without and suite.startswith(without):
                continue
            if (suite, name) not in tests:
                faults.append(f"{page}:{number}: there is no test {suite}.{name}")
    if named == 0:
        faults.append(f"{page}: names no test at all")
    print("\n".join(faults) or f"{named} tests named, all there")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
