"""Paths of one machine and scripts that do not parse are found, and nothing else."""

import pathlib
import unittest

import tree


class TreeTest(unittest.TestCase):

    def faults(self, text, path="docs/a.md"):
        return list(tree.text_faults(pathlib.PurePosixPath(path), text))

    def test_machine_paths(self):
        for folder in ("w" + "ork", "ro" + "ot", "home/" + "jane", "Us" + "ers"):
            with self.subTest(folder=folder):
                self.assertEqual(len(self.faults(f"see\n/{folder}/project/x.cc")), 1)
                self.assertIn(":2:", self.faults(f"see\n/{folder}/project/x.cc")[0])

    def test_other_paths(self):
        self.assertEqual(
            self.faults("/usr/share/x ${dir}/wo" "rk/x a/wo" "rk/x.cc ./wo" "rk/y /workspace/x"), [])

    def test_registry(self):
        lock = "tests/interop/package-lock.json"
        self.assertEqual(
            len(self.faults('"resolved": "https://npm.example.com/a.tgz"', lock)), 1)
        self.assertEqual(
            self.faults('"resolved": "https://registry.npmjs.org/a/-/a-1.tgz"', lock), [])

    def test_scripts(self):
        def fault(text, path):
            return tree.script_fault(pathlib.PurePosixPath(path), text)
        self.assertIn("run", fault("#!/usr/bin/env bash\nif true; then\n", "run"))
        self.assertIsNone(fault("#!/usr/bin/env bash\nif true; then :; fi\n", "run"))
        self.assertIsNone(fault("if this were a script\n", "notes.txt"))


if __name__ == "__main__":
    unittest.main()
