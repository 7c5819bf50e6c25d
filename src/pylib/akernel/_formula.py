# SPDX-License-Identifier: MIT
"""Cells of formulas: plain "name = expression" statements in the order of their needs."""

import ast
import dis

_AT_ONCE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def _uses(code, loads, stores, later):
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in ("LOAD_NAME", "LOAD_GLOBAL"):
            loads.add(instruction.argval)
        elif name in ("STORE_NAME", "STORE_GLOBAL"):
            stores.add(instruction.argval)
    for constant in code.co_consts:
        name = getattr(constant, "co_name", None)
        if name in _AT_ONCE or (later and name):
            _uses(constant, loads, stores, later)


def _needs(statement, filename, flags, later):
    """The names that a statement reads at once, and with later in functions too; None when
    it is no plain formula."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    if not isinstance(statement.targets[0], ast.Name):
        return None
    loads, stores = set(), set()
    _uses(compile(ast.Expression(statement.value), filename, "eval", flags, dont_inherit=True), loads, stores, later)
    return None if stores else loads


def _sorted(statements, needs):
    names = [statement.targets[0].id for statement in statements]
    if len(set(names)) < len(names):
        return None
    waiting, ordered, done = list(range(len(names))), [], set()
    while waiting:
        undone = set(names) - done
        ready = next((i for i in waiting if not needs[i] & undone), None)
        if ready is None:
            return None
        waiting.remove(ready)
        ordered.append(statements[ready])
        done.add(names[ready])
    return ordered


def order(source, filename, flags):
    """The code of a cell with its formulas in order, or None when it is no such cell."""
    tree = compile(source, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
    statements = tree.body
    if statements and isinstance(statements[-1], ast.Expr):
        statements.pop()
    # A lambda may be called on the spot: what it reads comes first if that is possible.
    for later in (True, False):
        needs = [_needs(statement, filename, flags, later) for statement in statements]
        ordered = None if None in needs else _sorted(statements, needs)
        if ordered is not None:
            tree.body = ordered
            return compile(tree, filename, "exec", flags, dont_inherit=True)
    return None
