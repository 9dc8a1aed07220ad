"""The drawing in docs/graph.md is what the program draws: check_graph.py PAGE ROOKERY PROGRAM..."""

import pathlib
import re
import subprocess
import sys


def main():
    page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    shown = re.search(r"^```mermaid\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    if shown is None:
        print(f"{sys.argv[1]} shows no Mermaid drawing")
        return 1
    done = subprocess.run([sys.argv[2], "graph", "--", *sys.argv[3:]], text=True, check=False,
                          stdout=subprocess.PIPE)
    if done.returncode != 0:
        return 1
    if done.stdout != shown.group(1):
        print(f"{sys.argv[1]} shows another graph than the program has now, which is:\n")
        print(done.stdout)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
