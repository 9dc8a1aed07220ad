"""Who may include whom: arrows.py

The parts, and the floors inside core, know only what is below them; the tables here are the rule.
Includes are resolved against the files that there are, so that a header's place decides, not its
name.
"""

import pathlib
import sys

import cpp_source

# Inside core, from the bottom up. A floor includes itself and what is before it.
FLOORS = ["runtime", "di", "module", "pipeline", "rpc", "platform", "app"]

# The exceptions. Pipeline and rpc are one storey in two halves: a guard is asked about a call, a
# controller is described by the shapes of its methods and compiled into the handlers that transports
# call, and a service's base class names the builder that configures it. So pipeline sees these headers
# of rpc; and where a call is refused, it says so in the log.
UPWARD = {
    "pipeline": {f"rpc/{name}.h" for name in
                 ("baggage", "call_context", "descriptor", "handler", "invoke", "message", "metadata",
                  "message_type", "stats", "status")} | {"platform/log.h"},
}

# What a part's sources may include from outside, beside Protobuf, Abseil, the standard library and
# the system; a public header may include nothing of all these.
HEAVY = {
    "grpc": ("grpc/", "grpcpp/", "grpc++/"),
    "spdlog": ("spdlog/", "fmt/"),
    "boost": ("boost/",),
    "openssl": ("openssl/",),
    "nats": ("nats/", "nats.h"),
    "rdkafka": ("librdkafka/", "rdkafka"),
    "zmq": ("zmq",),
    "json": ("simdjson", "nlohmann/", "rapidjson/"),
    "test": ("gtest/", "gmock/", "benchmark/"),
}
ALLOWED = {
    "proto": set(),
    "core": {"spdlog", "boost", "openssl", "json"},
    "transports/inproc": {"boost"},
    "transports/grpc": {"grpc", "boost", "openssl"},
    "transports/nats": {"nats", "boost", "openssl"},
    "transports/kafka": {"rdkafka", "boost", "openssl"},
    "transports/zeromq": {"zmq", "boost"},
    "gateway": {"boost", "openssl", "json"},
    "cli": set(),
}

# Which parts a part may include headers of, beside its own.
BELOW = {
    "proto": set(),
    "core": set(),
    "gateway": {"core"},
}
TRANSPORT_BELOW = {"core"}


def part_of(path):
    """The part that owns a file: "core", "transports/grpc", "tests/contract", ..."""
    if path.parts[0] in ("transports", "tests", "examples"):
        return "/".join(path.parts[:2])
    return path.parts[0]


def is_public(path):
    return "include" in path.parts[:-1] and path.parts[0] in ("core", "transports", "gateway")


def floor_of(path):
    """core/include/rookery/<floor>/..., core/src/<floor>/...: the floor, or None above them all."""
    if path.parts[0] != "core":
        return None
    rest = path.parts[3:] if path.parts[1] == "include" else path.parts[2:]
    return rest[0] if rest and rest[0] in FLOORS else None


def include_name(path):
    """What one writes to include a header of ours, or None if it is found beside its includer."""
    for folder in ("include", "src"):
        if folder in path.parts[:-1]:
            return "/".join(path.parts[path.parts.index(folder) + 1:])
    return None


class Arrows:
    """Judges the includes of a tree: {path: text} of all its sources."""

    def __init__(self, sources):
        self._sources = {pathlib.PurePosixPath(path): text for path, text in sources.items()}
        self._headers = {}
        for path in self._sources:
            name = include_name(path)
            if name and path.suffix == ".h":
                self._headers.setdefault(name, []).append(path)

    def faults(self):
        for path in sorted(self._sources):
            for line, name, quoted in cpp_source.includes_of(self._sources[path]):
                fault = self._fault(path, name, quoted)
                if fault:
                    yield f"{path}:{line}: includes {name}: {fault}"

    def _resolve(self, path, name, quoted):
        beside = path.parent / name
        if quoted and beside in self._sources:
            return beside
        found = self._headers.get(name, [])
        own = [header for header in found if part_of(header) == part_of(path)]
        return (own or found or [None])[0]

    def _fault(self, path, name, quoted):
        part = part_of(path)
        header = self._resolve(path, name, quoted)
        if header is None:
            return self._outside_fault(path, part, name)
        other = part_of(header)
        if other != part:
            below = TRANSPORT_BELOW if part.startswith("transports/") else BELOW.get(part)
            if below is not None and other not in below:
                return f"{part} may not know {other}"
            if not is_public(header) and (part == "tests/contract" or part.startswith("examples/")):
                return "this header is private, and this code is to be written as a user's"
        if is_public(path) and not is_public(header):
            return "a public header may not include a private one: it is not installed"
        return self._floor_fault(path, header)

    @staticmethod
    def _floor_fault(path, header):
        mine, other = floor_of(path), floor_of(header)
        if path.parts[0] != "core" or header.parts[0] != "core" or mine is None:
            return None
        if other is None:
            return f"floor {mine} may not include what stands above all floors"
        if FLOORS.index(other) <= FLOORS.index(mine):
            return None
        if include_name(header).removeprefix("rookery/") in UPWARD.get(mine, ()):
            return None
        return (f"floor {mine} is below floor {other}: declare the type instead, or move the code "
                "up")

    @staticmethod
    def _outside_fault(path, part, name):
        for library, prefixes in HEAVY.items():
            if not name.startswith(prefixes):
                continue
            if is_public(path):
                return f"{library} may not be seen in a public header: include it in the .cc"
            if part in ALLOWED and library not in ALLOWED[part]:
                return f"{part} does not use {library}"
        return None


def main():
    sources = {}
    for path in cpp_source.tracked("*.h", "*.cc"):
        if not cpp_source.is_generated(path):
            sources[path] = (cpp_source.root() / path).read_text(encoding="utf-8")
    faults = list(Arrows(sources).faults())
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
