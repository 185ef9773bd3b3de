"""Calculator: arithmetic on a syntax tree, never ``eval``; results are bounded before they are computed."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from personaagent.tools.spec import ToolCall, ToolFault, ToolSpec

MAX_BITS = 2_048  # of any integer on the way
MAX_NODES = 200
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "round": round, "min": min, "max": max, "sqrt": math.sqrt, "exp": math.exp, "log": math.log,
    "log10": math.log10, "sin": math.sin, "cos": math.cos, "tan": math.tan, "floor": math.floor, "ceil": math.ceil,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "e": math.e}


class CalculatorArgs(BaseModel):
    """What to compute."""

    expression: str = Field(min_length=1, max_length=300, description="for example (3 + 4) * 2 ** 10 / sqrt(2)")


def calculate(expression: str) -> int | float:
    """The value of an arithmetic expression; raises ToolFault when it is none, too large or undefined."""
    try:
        tree = ast.parse(expression.replace("^", "**").strip(), mode="eval")
        if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
            raise ToolFault(f"The expression has more than {MAX_NODES} parts. Compute it in steps.")
        return _value(tree.body)
    except SyntaxError as error:
        raise ToolFault("That is not an arithmetic expression. Write for example (3 + 4) * 2.") from error
    except ZeroDivisionError as error:
        raise ToolFault("Division by zero.") from error
    except (OverflowError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ToolFault(f"This cannot be computed: {error}.") from error


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _UNARY:
            return _bounded(_UNARY[type(op)](_value(inner)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            one, two = _value(left), _value(right)
            if isinstance(op, ast.Pow):
                _check_power(one, two)
            return _bounded(_BINARY[type(op)](one, two))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(arg) for arg in args)))
    raise ToolFault(f"Only numbers, + - * / // % **, pi, e and {', '.join(_FUNCTIONS)} are known here.")


def _check_power(base: float, exponent: float) -> None:
    """A tower of powers must be refused before it is computed."""
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > MAX_BITS:
        raise ToolFault("The power is too large to be computed here.")


def _bounded(number: Any) -> int | float:
    if isinstance(number, complex) or (isinstance(number, float) and not math.isfinite(number)):
        raise ToolFault("The result is not a real number.")
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise ToolFault("The result is too large to be computed here.")
    return number  # type: ignore[no-any-return]


def calculator_tool() -> ToolSpec:
    """The tool; it reads nothing and changes nothing."""

    async def run(call: ToolCall) -> str:
        return str(calculate(str(call.arguments["expression"])))

    return ToolSpec(
        name="calculator", description="Compute an arithmetic expression exactly.", args=CalculatorArgs, run=run
    )
