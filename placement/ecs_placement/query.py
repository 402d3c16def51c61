"""The cluster query language of `memberOf`: text to Query, Query to a mask over the rows.

The grammar is AWS's ("Create expressions to define container instances for Amazon ECS tasks"). AWS
leaves some of it open; here `and` binds tighter than `or`, words may be quoted, and a comparison
with an attribute that an instance lacks is false, except for `not_exists`.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecs_placement.errors import QueryError
from ecs_placement.predicates import Test, test

if TYPE_CHECKING:
    from lark import Lark

    from ecs_placement.columns import Columns

Bools = NDArray[np.bool_]

LONGEST = 2000  # characters of an expression, as ECS has it

_GRAMMAR = r"""
?either: both (_OR both)*
?both: single (_AND single)*
?single: _NOT single -> negated | "(" either ")" | SUBJECT EXISTS -> exists
    | SUBJECT IN "[" _value ("," _value)* "]" -> within | SUBJECT COMPARE _value -> compared
_value: WORD | QUOTED
SUBJECT: /attribute:[A-Za-z0-9_.\/\\-]+/ | "agentConnected" | "agentVersion" | "ec2InstanceId"
    | "registeredAt" | "runningTasksCount" | "task:group"
EXISTS.3: /(!\s*exists|not_exists|exists)(?![\w-])/
IN.3: /(!\s*in|not_in|in)(?![\w-])/
COMPARE.2: /==|!=|>=|<=|>|<|=~|!~/
    | /(not_equals|equals|greater_than_equal|greater_than|less_than_equal|less_than)(?!\w)/
    | /(not_matches|matches)(?!\w)/
_OR.4: "||" | /or(?!\w)/
_AND.4: "&&" | /and(?!\w)/
_NOT.4: "!" | /not(?!\w)/
WORD: /[^\s\[\](),'"]([^\s\[\],'"()]|\([^\s()]*\))*/
QUOTED: /'[^']*'|"[^"]*"/
%ignore /\s+/
"""
_EXPECTED = {
    "SUBJECT": "a subject (agentConnected, attribute:NAME, runningTasksCount, ...)",
    "EXISTS": "exists",
    "IN": "in [...]",
    "COMPARE": "an operator (==, !=, >, >=, <, <=, =~, !~)",
    "WORD": "a value",
    "QUOTED": "a quoted value",
    "LPAR": '"("',
    "RPAR": '")"',
    "LSQB": '"["',
    "RSQB": '"]"',
    "COMMA": '","',
    "_OR": '"or"',
    "_AND": '"and"',
    "_NOT": "not",
    "$END": "the end",
}
_SUBJECTS = (
    "agentConnected",
    "agentVersion",
    "attribute:",
    "ec2InstanceId",
    "registeredAt",
    "runningTasksCount",
    "task:group",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One subject against one predicate."""

    subject: str
    test: Test


@dataclass(frozen=True, slots=True)
class Combined:
    """`and`, `or` or `not` over parts."""

    operator: str
    parts: tuple["Expression", ...]


Expression = Comparison | Combined


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed expression."""

    text: str
    root: Expression

    @property
    def watches_groups(self) -> bool:
        """Whether the answer changes as tasks are placed (`task:group`)."""
        return _watches_groups(self.root)

    def mask(self, columns: "Columns") -> Bools:
        """bool[n]: the instances for which the expression holds."""
        return _mask(self.root, columns)


@lru_cache(maxsize=4096)
def parse(text: str) -> Query:
    """Parse an expression; raises QueryError with the column and what was expected there."""
    if len(text) > LONGEST:
        raise QueryError(f"query has {len(text)} characters, at most {LONGEST} are allowed")
    from lark import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise QueryError(_complaint(text, error)) from error
    return Query(text, _expression(tree))


@cache
def _parser() -> "Lark":
    from lark import Lark

    return Lark(_GRAMMAR, start="either", parser="lalr", maybe_placeholders=False)


def _expression(tree: Any) -> Expression:
    if tree.data in ("either", "both", "negated"):
        operator = {"either": "or", "both": "and", "negated": "not"}[tree.data]
        return Combined(operator, tuple(_expression(part) for part in tree.children))
    subject, operator, *values = (str(token) for token in tree.children)
    column = tree.children[1].column
    words = tuple(value[1:-1] if value[:1] in "'\"" else value for value in values)
    return Comparison(subject, test(subject, "".join(operator.split()), words, column))


def _complaint(text: str, error: Any) -> str:
    # At the end lark gives the place of the last token.
    ended = getattr(getattr(error, "token", None), "type", None) == "$END"
    column = len(text) + 1 if ended or error.column < 1 else error.column
    names = getattr(error, "accepts", None) or getattr(error, "expected", None)
    # lark knows none where the expression could have ended already.
    names = names or getattr(error, "allowed", None) or {"_AND", "_OR", "$END"}
    wanted = sorted({_EXPECTED.get(name, name) for name in names})
    rest = text[column - 1 :].split()
    found = repr(rest[0]) if rest else "the end"
    message = f"query, column {column}: found {found}, expected {' or '.join(wanted)}"
    known = [name for name in _SUBJECTS if name != "attribute:"]
    word = rest[0].partition(":")[0] if rest else ""
    close = get_close_matches(word, [*known, "attribute"], n=1)
    return f"{message}; did you mean {close[0]}?" if close and close[0] != word else message


def _watches_groups(expression: Expression) -> bool:
    if isinstance(expression, Comparison):
        return expression.subject == "task:group"
    return any(_watches_groups(part) for part in expression.parts)


def _mask(expression: Expression, columns: "Columns") -> Bools:
    if isinstance(expression, Comparison):
        return columns.where(expression.subject, expression.test)
    masks = [_mask(part, columns) for part in expression.parts]
    if expression.operator == "not":
        return ~masks[0]
    combine = np.logical_and if expression.operator == "and" else np.logical_or
    result: Bools = combine.reduce(masks)
    return result
