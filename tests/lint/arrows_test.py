"""The arrows of the parts point down only: small trees that break the rule, and some that keep it."""

import unittest

import arrows

BASE = {
    "core/include/rookery/runtime/task.h": "",
    "core/include/rookery/rpc/channel.h": '#include "rookery/runtime/task.h"\n',
    "core/include/rookery/rpc/metadata.h": "",
    "core/include/rookery/rookery.h": '#include "rookery/rpc/channel.h"\n',
    "core/src/runtime/asio_loop.h": "#include <boost/asio/io_context.hpp>\n",
    "core/src/runtime/task.cc": '#include "runtime/asio_loop.h"\n#include <spdlog/spdlog.h>\n',
    "transports/inproc/include/rookery/inproc/inproc.h": '#include "rookery/rpc/channel.h"\n',
    "transports/grpc/include/rookery/grpc/grpc.h": "",
    "transports/grpc/src/server.cc": '#include "server.h"\n#include <grpcpp/grpcpp.h>\n',
    "transports/grpc/src/server.h": '#include "runtime/asio_loop.h"\n',
    "gateway/include/rookery/gateway/gateway.h": "",
}


class ArrowsTest(unittest.TestCase):

    def faults(self, **extra):
        tree = dict(BASE)
        for path, text in extra.get("files", {}).items():
            tree[path] = text
        return list(arrows.Arrows(tree).faults())

    def broken(self, path, text, expected):
        faults = self.faults(files={path: text})
        self.assertEqual(len(faults), 1, faults)
        self.assertIn(expected, faults[0])
        self.assertTrue(faults[0].startswith(f"{path}:1: "), faults[0])

    def test_sound_tree(self):
        self.assertEqual(self.faults(), [])

    def test_lower_floor_includes_higher(self):
        self.broken("core/include/rookery/runtime/loop.h", '#include "rookery/rpc/channel.h"',
                    "floor runtime is below floor rpc")
        self.broken("core/src/di/container.cc", "#include <rookery/rpc/channel.h>",
                    "floor di is below floor rpc")

    def test_pipeline_sees_a_call_but_not_a_channel(self):
        self.assertEqual(self.faults(files={
            "core/include/rookery/pipeline/guard.h": '#include "rookery/rpc/metadata.h"'}), [])
        self.broken("core/include/rookery/pipeline/guard.h", '#include "rookery/rpc/channel.h"',
                    "floor pipeline is below floor rpc")

    def test_floor_includes_the_umbrella(self):
        self.broken("core/src/rpc/channel.cc", '#include "rookery/rookery.h"', "above all floors")

    def test_transport_knows_another(self):
        self.broken("transports/grpc/src/client.cc", '#include "rookery/inproc/inproc.h"',
                    "transports/grpc may not know transports/inproc")

    def test_transport_knows_the_gateway(self):
        self.broken("transports/grpc/src/client.cc", '#include "rookery/gateway/gateway.h"',
                    "transports/grpc may not know gateway")

    def test_core_knows_a_transport(self):
        self.broken("core/src/app/application.cc", '#include "rookery/grpc/grpc.h"',
                    "core may not know transports/grpc")

    def test_plugin_knows_core(self):
        self.broken("proto/plugin/main.cc", '#include "rookery/runtime/task.h"',
                    "proto may not know core")

    def test_heavy_library_in_a_public_header(self):
        for header in ("grpcpp/grpcpp.h", "spdlog/spdlog.h", "boost/asio.hpp", "nats/nats.h",
                       "librdkafka/rdkafka.h", "zmq.hpp"):
            with self.subTest(header=header):
                self.broken("core/include/rookery/rpc/more.h", f"#include <{header}>",
                            "may not be seen in a public header")

    def test_heavy_library_in_the_wrong_part(self):
        self.broken("core/src/rpc/more.cc", "#include <grpcpp/grpcpp.h>", "core does not use grpc")

    def test_public_header_includes_private_one(self):
        self.broken("core/include/rookery/runtime/loop.h", '#include "runtime/asio_loop.h"',
                    "a public header may not include a private one")

    def test_contract_is_written_as_by_a_user(self):
        self.broken("tests/contract/cases.cc", '#include "runtime/asio_loop.h"', "is private")
        self.assertEqual(self.faults(files={
            "tests/unit/runtime/loop_test.cc": '#include "runtime/asio_loop.h"'}), [])

    def test_comments_do_not_count(self):
        self.assertEqual(self.faults(files={"core/include/rookery/runtime/loop.h":
            '// #include "rookery/rpc/channel.h"\n/*\n#include "rookery/rpc/channel.h"\n*/'}), [])


if __name__ == "__main__":
    unittest.main()
