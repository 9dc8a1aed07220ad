"""Runs every interop case, both ways, against one foreign peer and prints a table.

    run_interop.py self|python|node --server BIN --client BIN --protoc BIN --work DIR

self    Rookery's client against Rookery's server
python  peers/interop.py, on Debian's python3-grpcio
node    peers/interop.mjs, on @grpc/grpc-js from the npm registry; SKIPPED (exit code 77), with the
        reason, where that cannot be had

Every process started here is stopped here, by its own id. Exit code 0 only if all cases passed.
"""
import argparse
import contextlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO_DIR = os.path.join(HERE, "proto")
CASES = (
    "empty_unary", "cacheable_unary", "large_unary", "client_compressed_unary",
    "server_compressed_unary", "client_streaming", "client_compressed_streaming",
    "server_streaming", "server_compressed_streaming", "ping_pong", "half_duplex", "empty_stream",
    "timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
    "status_code_and_message", "special_status_message", "custom_metadata",
    "unimplemented_method", "unimplemented_service", "pick_first_unary", "rpc_soak",
    "channel_soak", "orca_per_rpc", "orca_oob",
)
# Cases that a peer cannot play, with the reason.
KEPT_BY_CORE = "gRPC's C core keeps the load trailer for its own balancing policies"
NOT_BY_CLIENT = {
    "python": {"orca_oob": "grpcio has no load-report client", "orca_per_rpc": KEPT_BY_CORE},
    "node": {"orca_oob": "grpc-js's load-report client is not public"},
    "self": {"orca_per_rpc": KEPT_BY_CORE},
}
CANNOT_SEE = "the peer's API does not show whether a message came compressed"
NOT_BY_SERVER = {
    "python": {"client_compressed_unary": CANNOT_SEE, "client_compressed_streaming": CANNOT_SEE,
               "orca_per_rpc": KEPT_BY_CORE, "orca_oob": "grpcio has no load reports"},
    "node": {"client_compressed_unary": CANNOT_SEE, "client_compressed_streaming": CANNOT_SEE,
             "orca_per_rpc": KEPT_BY_CORE, "orca_oob": "no load reports in this peer"},
}
CASE_TIMEOUT = 60


class Skip(Exception):
    pass


@contextlib.contextmanager
def serving(command, **options):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        line = process.stdout.readline().split()
        if len(line) != 2 or line[0] != "READY":
            raise RuntimeError(f"{command[0]} did not say READY PORT")
        yield line[1]
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_case(command, **options):
    """(passed, output) of one case."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=CASE_TIMEOUT, **options)
    except subprocess.TimeoutExpired:
        return False, f"did not end within {CASE_TIMEOUT} s"
    return done.returncode == 0, done.stdout.strip()


def node_folder(work):
    """A folder with the npm packages; raises Skip if they cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Skip("node and npm are not installed")
    folder = os.path.join(work, "node")
    if not os.path.isdir(os.path.join(folder, "node_modules", "@grpc", "grpc-js")):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w") as file:
            file.write('{"private": true}\n')
        try:
            done = subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1",
                 "--fetch-timeout=30000",
                 "@grpc/grpc-js@1", "@grpc/proto-loader@0"],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90)
        except subprocess.TimeoutExpired:
            raise Skip("the npm registry did not answer within 90 s")
        if done.returncode != 0:
            raise Skip("npm could not install @grpc/grpc-js: " + done.stdout.strip()[-300:])
    return folder


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=("self", "python", "node"))
    for name in ("server", "client", "protoc", "work"):
        parser.add_argument("--" + name, required=True)
    arguments = parser.parse_args()
    peer = arguments.peer
    os.makedirs(arguments.work, exist_ok=True)

    foreign = None
    options = {}
    if peer == "python":
        try:
            import grpc  # noqa: F401
            import google.protobuf  # noqa: F401
        except ImportError as error:
            raise Skip(f"python3-grpcio or python3-protobuf is not installed: {error}")
        subprocess.run([arguments.protoc, "-I", PROTO_DIR, "--include_imports",
                        "--descriptor_set_out=" + os.path.join(arguments.work, "interop.desc"),
                        "grpc/testing/test.proto"], check=True)
        foreign = [sys.executable, os.path.join(HERE, "peers", "interop.py")]
        foreign_protos = ["--protos", arguments.work]
    elif peer == "node":
        options["cwd"] = node_folder(arguments.work)
        foreign = ["node", os.path.join(HERE, "peers", "interop.mjs")]
        foreign_protos = ["--protos", PROTO_DIR]

    failures = []
    passed = 0

    def report(direction, case, ok, output):
        nonlocal passed
        passed += ok
        line = f"{'pass' if ok else 'FAIL'}  {direction:<28} {case}"
        if not ok:
            line += "\n      " + output.replace("\n", "\n      ")
            failures.append(line)
        print(line, flush=True)

    # Their client (ours, for `self`), our server.
    with serving([arguments.server, "--port=0"]) as port:
        for case in CASES:
            if case in NOT_BY_CLIENT[peer]:
                print(f"n/a   {peer + ' client':<28} {case}: {NOT_BY_CLIENT[peer][case]}")
                continue
            if foreign is None:
                command = [arguments.client, "--server_host=127.0.0.1",
                           f"--server_port={port}", f"--test_case={case}"]
            else:
                command = foreign + ["client", *foreign_protos, "--server_port", port,
                                     "--test_case", case]
            report(f"{peer} client, our server", case, *run_case(command, **options))

    # Our client, their server.
    if foreign is not None:
        with serving(foreign + ["server", *foreign_protos], **options) as port:
            for case in CASES:
                if case in NOT_BY_SERVER[peer]:
                    print(f"n/a   {'our client, ' + peer + ' server':<28} {case}: "
                          f"{NOT_BY_SERVER[peer][case]}")
                    continue
                command = [arguments.client, "--server_host=127.0.0.1",
                           f"--server_port={port}", f"--test_case={case}"]
                report(f"our client, {peer} server", case, *run_case(command))
    # Once more at the end, where a log that is cut short still has them.
    for line in failures:
        print(line)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Skip as reason:
        print(f"SKIPPED: {reason}")
        sys.exit(77)
