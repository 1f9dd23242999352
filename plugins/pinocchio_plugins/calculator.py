"""The tool `calculator`: arithmetic, and nothing else that an expression could do."""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pinocchio_core.plugin import ToolDefinition, hookimpl

NAME: Final = "calculator"
MAX_CHARACTERS: Final = 500
MAX_DIGITS: Final = 1000
"""Of a whole number; more are refused before they are computed."""
_BITS = MAX_DIGITS * 4

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "floor": math.floor,
    "ceil": math.ceil,
}
_CONSTANTS: Final = {"pi": math.pi, "e": math.e}


@hookimpl
def pinocchio_tools() -> Iterator[ToolDefinition]:
    """The one tool of this plugin."""
    yield ToolDefinition(
        NAME,
        description="Computes an arithmetic expression: + - * / // % **, parentheses, pi, e, and the functions "
        + ", ".join(_FUNCTIONS)
        + ".",
        arguments_schema={
            "type": "object",
            "properties": {"expression": {"type": "string", "maxLength": MAX_CHARACTERS, "minLength": 1}},
            "required": ["expression"],
            "additionalProperties": False,
        },
        call=calculate,
    )


def calculate(arguments: Mapping[str, Any]) -> str:
    """The value of `expression` as text, or why there is none, in words that a model can act on."""
    expression = str(arguments["expression"])
    try:
        return _text(_value(ast.parse(expression.strip(), mode="eval").body))
    except SyntaxError:
        return f"{expression!r} is no arithmetic expression; write for example (2 + 3) * 4"
    except (ArithmeticError, ValueError, TypeError, RecursionError, MemoryError) as error:
        return f"it cannot be computed: {str(error) or type(error).__name__}"


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return _bounded(value)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _bounded(_UNARY[type(op)](_value(operand)))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bounded(_power(_value(left), _value(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_value, arguments)))
    raise ValueError(f"{ast.unparse(node)[:80]} is no arithmetic")


def _power(base: float, exponent: float) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base).bit_length() * abs(exponent) > _BITS:
        raise ValueError("the result has too many digits")
    return base**exponent


def _bounded(value: Any) -> int | float:
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise ValueError("the result has too many digits")
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("the result is no real number")
    return value


def _text(value: float) -> str:
    whole = value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else str(value)
