"""Each public header compiles alone, without warnings, with both compilers: headers.py BUILD_DIR

BUILD_DIR holds the headers that protoc generates (target rookery_protos).
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys

import cpp_source

COMPILERS = ("g++", "clang++-19")
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]


def public_headers():
    return [path for path in cpp_source.tracked("core/include/*.h", "transports/*/include/*.h",
                                                "gateway/include/*.h")]


def include_flags(build):
    top = cpp_source.root()
    folders = [top / "core/include"] + sorted(top.glob("transports/*/include")) + \
        [folder for folder in [top / "gateway/include"] if folder.is_dir()]
    return [f"-I{folder}" for folder in folders] + ["-isystem", f"{build}/proto/generated"]


def check(compiler, header, flags):
    """What the compiler says about a file that includes this header alone; empty if nothing."""
    done = subprocess.run(
        [compiler, *FLAGS, *flags, "-x", "c++", "-"],
        input=f'#include "{header}"\n#include "{header}"\n', text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode == 0:
        return ""
    return f"{header} does not compile alone with {compiler}:\n{done.stdout}"


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    build = pathlib.Path(arguments[0]).resolve()
    missing = [compiler for compiler in COMPILERS if not shutil.which(compiler)]
    if missing:
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 2
    flags = include_flags(build)
    names = ["/".join(path.parts[path.parts.index("include") + 1:]) for path in public_headers()]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(check, compiler, name, flags)
                for name in names for compiler in COMPILERS]
        faults = [job.result() for job in jobs]
    faults = [fault for fault in faults if fault]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
