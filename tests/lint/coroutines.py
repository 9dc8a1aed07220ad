"""Finds the coroutine code that g++ 12.2 miscompiles: coroutines.py [FILE...]

  condition   `if (co_await f())`, also while, for, do and switch: the frame may be laid out too
              small (https://gcc.gnu.org/PR106188, PR106713)
  macro       `EXPECT_EQ(co_await f(), 1)`: the macro may hide such a condition
  lambda      a lambda that captures by value in one full-expression with co_await: what it captured
              is destroyed twice (PR99576, PR101976)
  braces      braces that make a temporary in one full-expression with co_await or co_yield: an
              aggregate or array made so is destroyed twice (PR98056, PR100611)
  throw       `throw X(co_await f())`: X is destroyed twice
  lock        a lock that is held across an await blocks whatever else runs on the loop, and may be
              released on another thread

The mend is one for all: give the value a name before, and move it in. There is no way to waive a
finding.
"""

import sys

import cpp_source

_AWAITS = ("co_await", "co_yield")
_CONDITIONS = ("if", "while", "for", "switch")
_LOCKS = ("MutexLock", "ReaderMutexLock", "WriterMutexLock", "MutexLockMaybe", "lock_guard",
          "unique_lock", "scoped_lock", "shared_lock")
_MENDS = {
    "condition": "co_await in the condition of `{}`: name the value in a statement of its own first",
    "macro": "co_await among the arguments of {}, which may hide a condition: name the value first",
    "lambda": "a lambda that captures by value beside {}: name the lambda first, std::move it in",
    "braces": "braces beside {}: name the value first, std::move it in",
    "throw": "co_await inside a throw expression: name the value first",
    "lock": "a lock ({}) is held across co_await: end its scope before",
}


def _opens_block(tokens, index):
    """Whether the `{` at index opens a block of statements (or a class), not an initializer."""
    if index == 0:
        return True
    before = tokens[index - 1].text
    if before in (")", "{", "}", ";", ":", "else", "do", "try", "noexcept", "mutable", "const",
                  "override", "final", "constexpr", "&&", "]]"):
        # `Foo(x) {` and `if (x) {`, but `f({{1}})` and `= {{`.
        if before == "{":
            return _opens_block(tokens, index - 1)
        return True
    if before in ("]", ">", "*", "&") or tokens[index - 1].kind == "name":
        if before == "]" and _lambda_at(tokens, tokens[index - 1].match):
            return True
        # A trailing return type, or the head of a namespace, class or concept's body.
        back = index - 1
        while back >= 0:
            token = tokens[back]
            if token.text in ("->", "namespace", "class", "struct", "union", "enum", "extern",
                              "requires"):
                return True
            if token.text in (")", "]") and token.match >= 0:
                back = token.match
            elif token.text in ("(", "[", "{", "}", ";", "=", "return", "co_return", "co_await",
                                "co_yield"):
                return False
            back -= 1
    return False


def _lambda_at(tokens, index):
    """Whether the `[` at index introduces a lambda."""
    if index < 0 or tokens[index].text != "[":
        return False
    if index == 0:
        return True
    before = tokens[index - 1]
    return not (before.kind == "literal" or before.text in (")", "]", "}", "operator")
                or (before.kind == "name" and before.text not in
                    ("return", "co_return", "co_await", "co_yield", "throw", "case", "else", "do")))


def _captures_by_value(tokens, index):
    """Whether the lambda at `[` captures anything with a destructor of its own."""
    captures, depth, current = [], 0, []
    for token in tokens[index + 1:tokens[index].match]:
        if token.text in cpp_source.OPEN:
            depth += 1
        elif token.text in cpp_source.CLOSE:
            depth -= 1
        if token.text == "," and depth == 0:
            captures.append(current)
            current = []
        else:
            current.append(token.text)
    if current:
        captures.append(current)
    return any(capture and capture[0] != "&" and capture != ["this"] for capture in captures)


def _lambda_body(tokens, index):
    """The index of the `{` of the lambda introduced at index, or -1."""
    at = tokens[index].match + 1
    while 0 < at < len(tokens):
        text = tokens[at].text
        if text == "{":
            return at
        if text in ("(", "[", "[[") and tokens[at].match > at:
            at = tokens[at].match
        elif text in (";", ")", "]", "}"):
            return -1
        at += 1
    return -1


def _enclosing_bracket(tokens, index):
    """The index of the innermost bracket that is open at index, or -1."""
    back = index - 1
    while back >= 0:
        if tokens[back].text in cpp_source.CLOSE and tokens[back].match >= 0:
            back = tokens[back].match
        elif tokens[back].text in cpp_source.OPEN:
            return back
        back -= 1
    return -1


def _controls(tokens, index):
    """The keyword whose condition the `(` at index opens, or None."""
    if index < 1 or tokens[index].text != "(":
        return None
    name = tokens[index - 1].text
    if name == "constexpr" and index > 1:
        name = tokens[index - 2].text
    return name if name in _CONDITIONS else None


class _Expression:
    """The full-expression around one await: where it starts and ends, and what it stands in."""

    def __init__(self, tokens, at):
        self.condition = None
        self.macro = None
        self.braced = False
        self.thrown = False
        self.start, self.end = 0, len(tokens)
        back = at - 1
        while back >= 0:
            token = tokens[back]
            text = token.text
            if text in (")", "]", "]]") and token.match >= 0:
                back = token.match - 1
                continue
            if text == "}" and token.match >= 0:
                if _opens_block(tokens, token.match) and not self._in_expression(tokens, back):
                    break
                back = token.match - 1
                continue
            if text == ";":
                around = _enclosing_bracket(tokens, back)
                if _controls(tokens, around):
                    self._inside_control(tokens, at, around)
                    return
                break
            if text == "{":
                if _opens_block(tokens, back):
                    break
                self.braced = True
            elif text == "throw":
                self.thrown = True
            elif text == "(" and back:
                if _controls(tokens, back):
                    self._inside_control(tokens, at, back)
                    return
                name = tokens[back - 1].text
                if len(name) > 2 and name.upper() == name and tokens[back - 1].kind == "name":
                    self.macro = name
            back -= 1
        self.start = back + 1
        self.end = self._end(tokens, at, len(tokens))

    @staticmethod
    def _in_expression(tokens, closing):
        """Whether the expression goes on after a lambda's body that ends at `closing`."""
        return closing + 1 < len(tokens) and tokens[closing + 1].text in (
            ")", ",", "(", "]", "}", ".", ";")

    @staticmethod
    def _end(tokens, at, limit):
        forward = at
        while forward < limit:
            token = tokens[forward]
            if token.text in ("(", "[", "[[") and token.match > forward:
                forward = token.match
            elif token.text == "{" and token.match > forward:
                forward = token.match
            elif token.text == ";":
                return forward
            elif token.text == "}":  # the brace that closes what this expression is inside of
                if tokens[forward].match >= 0 and _opens_block(tokens, token.match):
                    return forward
            forward += 1
        return limit

    def _inside_control(self, tokens, at, opening):
        """An await somewhere in the brackets of if, while, for or switch."""
        name = _controls(tokens, opening)
        closing = tokens[opening].match if tokens[opening].match > opening else len(tokens)
        parts, depth, colon = [opening], 0, False
        for index in range(opening + 1, closing):
            text = tokens[index].text
            if text in cpp_source.OPEN:
                depth += 1
            elif text in cpp_source.CLOSE:
                depth -= 1
            elif depth == 0 and text == ";":
                parts.append(index)
            elif depth == 0 and text == ":" and name == "for":
                colon = True
        parts.append(closing)
        for number, (self.start, self.end) in enumerate(zip(parts, parts[1:])):
            if self.start < at < self.end:
                break
        # The init-statement and a range-for's range are evaluated once, outside the condition.
        first_of_several = number == 0 and len(parts) > 2
        if not first_of_several and not (name == "for" and colon):
            self.condition = name


def _faults_at(tokens, at):
    """(line, rule, detail) for the await at index `at`."""
    word = tokens[at].text
    expression = _Expression(tokens, at)
    if expression.condition:
        yield tokens[at].line, "condition", expression.condition
    if expression.macro:
        yield tokens[at].line, "macro", expression.macro
    if expression.thrown:
        yield tokens[at].line, "throw", word
    if expression.braced:
        yield tokens[at].line, "braces", word
    index = expression.start
    while index < expression.end:
        token = tokens[index]
        if token.text == "[" and _lambda_at(tokens, index):
            if _captures_by_value(tokens, index):
                yield token.line, "lambda", word
            body = _lambda_body(tokens, index)
            if body >= 0 and tokens[body].match > body:
                if body < at < tokens[body].match:
                    index = body  # the await is in this very body: judge what is around it
                else:
                    index = tokens[body].match
        elif token.text == "{" and not expression.braced and not _opens_block(tokens, index):
            yield token.line, "braces", word
            break
        index += 1


def _locks_held(tokens):
    """(line, rule, detail) for each await in a block where a lock was declared before it."""
    locks = []  # (index of the block's closing brace, the lock's type)
    for index, token in enumerate(tokens):
        while locks and locks[-1][0] <= index:
            locks.pop()
        if token.text in _LOCKS and token.kind == "name":
            after = index + 1
            if after < len(tokens) and tokens[after].text == "<":
                while after < len(tokens) and tokens[after].text not in (">", ";", "{"):
                    after += 1
                after += 1
            if after + 1 < len(tokens) and tokens[after].kind == "name" and \
                    tokens[after + 1].text in ("(", "{"):
                block = _enclosing_block(tokens, index)
                if block >= 0:
                    locks.append((tokens[block].match, token.text, block))
        elif token.text in _AWAITS and locks and not _is_operator(tokens, index):
            block = _function_of(tokens, index)
            for _, name, locked in locks:
                if block <= locked:
                    yield token.line, "lock", name
                    break


def _enclosing_block(tokens, index):
    while True:
        index = _enclosing_bracket(tokens, index)
        if index < 0 or tokens[index].text == "{":
            return index


def _function_of(tokens, index):
    """The `{` of the innermost lambda or function that holds the token."""
    block = _enclosing_block(tokens, index)
    while block > 0:
        before = tokens[block - 1]
        if before.text == "]":
            return block
        back = block - 1
        while back > 0 and tokens[back].text not in (")", ";", "{", "}"):
            back -= 1
        if tokens[back].text == ")" and tokens[back].match > 0:
            head = tokens[tokens[back].match - 1]
            if head.text == "]" or (head.kind == "name" and head.text not in
                                    _CONDITIONS + ("catch", "constexpr")):
                return block
        outer = _enclosing_block(tokens, block)
        if outer < 0:
            return block
        block = outer
    return block


def _is_operator(tokens, index):
    return index > 0 and tokens[index - 1].text == "operator"


def faults_of(text):
    """[(line, rule, message)] for C++ source text."""
    tokens = cpp_source.tokens_of(text)
    found = set()
    for index, token in enumerate(tokens):
        if token.text in _AWAITS and not _is_operator(tokens, index):
            found.update(_faults_at(tokens, index))
    found.update(_locks_held(tokens))
    return [(line, rule, _MENDS[rule].format(detail)) for line, rule, detail in sorted(found)]


def main(arguments):
    if arguments:
        paths = arguments
    else:
        paths = [cpp_source.root() / path for path in cpp_source.tracked("*.h", "*.cc")
                 if not cpp_source.is_generated(path)]
    failed = False
    for path in paths:
        with open(path, encoding="utf-8") as source:
            text = source.read()
        for line, rule, message in faults_of(text):
            failed = True
            print(f"{path}:{line}: [{rule}] {message}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
