"""The coroutine lint catches each pattern that g++ 12.2 miscompiles, and nothing that is sound."""

import unittest

import coroutines


def rules(body):
    """The rules that a coroutine with this body breaks."""
    text = "Task<int> Coroutine(Arg arg) {\n" + body + "\n}\n"
    return sorted({rule for _, rule, _ in coroutines.faults_of(text)})


class CoroutinesTest(unittest.TestCase):

    def broken(self, rule, *bodies):
        for body in bodies:
            with self.subTest(body=body):
                self.assertIn(rule, rules(body))

    def sound(self, *bodies):
        for body in bodies:
            with self.subTest(body=body):
                self.assertEqual(rules(body), [])

    def test_conditions(self):
        self.broken(
            "condition",
            "if (co_await f()) co_return 1;",
            "if (!co_await f()) { co_return 1; }",
            "if (x && co_await f()) co_return 1;",
            "if (\n    ready(a,\n          co_await f(b))) {\n  g();\n}",
            "if constexpr (x) {} if (g(1) == (co_await f())) {}",
            "while (co_await f()) {}",
            "while (auto event = co_await changes.Next()) {}",
            "do { g(); } while (!co_await f());",
            "switch (co_await f()) { case 1: break; }",
            "for (int i = 0; co_await f(i); ++i) {}",
            "for (int i = 0; i < 3; i += co_await f()) {}",
            "if (auto x = g(); co_await f(x)) {}",
            "try { if (co_await f()) co_return 1; } catch (...) {}",
            "auto l = []() -> Task<int> { if (co_await f()) co_return 1; co_return 2; };",
        )
        self.sound(
            "const bool ok = co_await f(); if (ok) co_return 1;",
            "if (auto r = co_await f(); r) co_return 1;",
            "for (auto& x : co_await f()) { g(x); }",
            "for (int i = co_await f(); i < 3; ++i) {}",
            "if (x) { co_await f(); }",
            "if (x) co_await f();",
            "while (x) { const auto y = co_await f(); if (!y) break; }",
            "// if (co_await f())\n/* while (co_await f()) */ co_return 1;",
            'log("if (co_await f())"); log(R"x(while (co_await f()) "{)x"); co_return 1;',
            "#define WAIT(x) if (co_await x) {}\nco_return 1;",
            "if (schedule([&]() -> Task<void> { co_await f(); })) co_return 1;",
        )

    def test_macros(self):
        self.broken("macro", "EXPECT_EQ(co_await f(), 1);", "ASSERT_TRUE(\n    ok(co_await f()));")
        self.sound("const int x = co_await f(); EXPECT_EQ(x, 1);",
                   "EXPECT_EQ(SyncWait([]() -> Task<int> { co_return co_await f(); }()), 1);")

    def test_lambdas(self):
        self.broken(
            "lambda",
            "co_await f([x] { return x; });",
            "co_await f([=] { return x; });",
            "co_await f([x = std::move(y)]() mutable { g(x); });",
            "co_await f(1,\n           [&a, b](int c) noexcept -> int { return a + b + c; });",
            "co_await [x]() -> Task<void> { co_await g(x); }();",
            "auto r = g([*this] { return 1; }) + co_await f();",
            "co_return co_await f(std::function<void()>([x] {}));",
            "co_yield map([x] { return x; });",
        )
        self.sound(
            "co_await f([] { return 1; });",
            "co_await f([&] { return x; });",
            "co_await f([&x, this] { return x; });",
            "auto g = [x] { return x; }; co_await f(std::move(g));",
            "auto g = [x]() -> Task<void> { co_await f(x); }; co_await g();",
            "x[1] = co_await f(y[i], z()[2], a[b[0]]);",
            "Spawn([x]() -> Task<void> { co_await f(x); }); co_await g();",
        )

    def test_braces(self):
        self.broken(
            "braces",
            "co_await f(Agg{a, b});",
            "co_await f({a, b});",
            "co_await f({});",
            "co_await f(Req{.a = 1});",
            "C values[2] = {co_await x(), co_await y()};",
            "Agg g{.n = co_await x()};",
            "co_await f(std::vector<C>{a, b});",
            "co_await f(std::optional<Agg>(Agg{1}));",
            "co_yield Agg{1};",
            "co_yield {1, 2};",
            "auto r = g(Agg{1}) + co_await f();",
            "co_await f(1,\n           Agg{2});",
            "if (auto r = co_await f(Agg{1}); r) {}",
        )
        self.sound(
            "Agg agg{a, b}; co_await f(std::move(agg));",
            "co_await f(Agg(a, b));",
            "for (int x : std::vector{1, 2}) { co_await f(x); }",
            "if (x) { co_await f(); } else { co_await g(); }",
            "try { co_await f(); } catch (const std::exception& error) { g({1}); }",
            "{ co_await f(); } Agg g{1};",
            "if (x) [[unlikely]] { co_await f(); } else [[likely]] { g(); } co_await f();",
            "co_await f([] { Agg g{1}; return h({2}); });",
            "struct Local { int x = 1; }; co_await f();",
            "switch (x) { case 1: { co_await f(); break; } default: co_await g(); }",
            "auto l = [](int x) -> Task<std::vector<int>> { co_await f(x); co_return g({1}); };",
            "co_await f(std::pair<int, int>(1, 2)); co_return Agg{1};",
            "co_yield std::move(x);",
        )

    def test_throw(self):
        self.broken("throw", "throw Error(co_await f());")
        self.sound("auto e = co_await f(); throw Error(e);", "throw Error(1);\nco_await f();")

    def test_locks(self):
        self.broken(
            "lock",
            "absl::MutexLock lock(&mutex_); co_await f();",
            "{ const std::lock_guard<std::mutex> lock(mutex_); g(); co_await f(); }",
            "std::unique_lock lock(mutex_); while (x) { co_await f(); }",
            "std::scoped_lock lock{mutex_}; co_yield 1;",
        )
        self.sound(
            "{ absl::MutexLock lock(&mutex_); g(); } co_await f();",
            "absl::MutexLock lock(&mutex_); tasks_.push_back([]() -> Task<void> { co_await f(); });",
            "if (x) { std::lock_guard lock(mutex_); } co_await f();",
        )

    def test_operator_is_no_await(self):
        self.assertEqual(coroutines.faults_of(
            "struct A { auto operator co_await() && noexcept { return Awaiter{*this}; } };"), [])

    def test_lines(self):
        faults = coroutines.faults_of("Task<void> F() {\n  /* a\n b */\n  if (co_await f()) {\n  }\n}")
        self.assertEqual([(line, rule) for line, rule, _ in faults], [(4, "condition")])


if __name__ == "__main__":
    unittest.main()
