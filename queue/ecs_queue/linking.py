"""A script gets what it mentions of the shared Lua: Redis runs the whole text anew at every call.

Each paragraph defines what it assigns in the first column. Names declared ahead (`local wake`) are
bound late: what only they lead to becomes one function, run when the first of them is called. Lua
lets a function look at 60 names around it: where this one needs more, it has copies of the least.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_AROUND = 50
"""Names around it that what is bound late looks at; Lua ends at 60, `bind`'s own among them."""

_NOT_CODE = re.compile(r"--[^\n]*|'(?:\\.|[^'\\\n])*'")
_NAME = re.compile(r"[A-Za-z_]\w*")
_FUNCTION = re.compile(r"^local function (\w+)", re.MULTILINE)
_LOCALS = re.compile(r"^local (?!function)([\w, ]+?) *(=|$)", re.MULTILINE)
_ASSIGNED = re.compile(r"^(?!local )(\w+)[.\w]* = ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A part of the shared text that is taken as a whole."""

    source: str
    mentions: frozenset[str]
    defines: frozenset[str]
    declares: frozenset[str]
    """Names that stand here without a value, for a later paragraph to assign."""
    functions_only: bool
    """Whether it keeps no value, so that a copy does as well."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all scripts share: `owner` of each name, and `late` the paragraphs that assign names
    which another one declared."""

    paragraphs: tuple[Paragraph, ...]
    owner: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Shared:
        """Read the shared text.

        Raises:
            ValueError: a paragraph defines nothing, so that nobody could mention it.
        """
        shared = cls(tuple(_paragraphs(text)))
        for place, paragraph in enumerate(shared.paragraphs):
            shared.owner.update(dict.fromkeys(paragraph.declares, place))
            for name in paragraph.defines:
                books = shared.late if name in shared.owner else shared.owner
                books[name] = place
        return shared

    def linked(self, script: str) -> str:
        """The script behind what it needs."""
        needed = self._reached(_mentioned(script))
        bound_late = {name for name in self._said(needed, script) if name in self.late}
        bound_late = {name for name in bound_late if self.late[name] not in needed}
        rest = self._reached(bound_late, through_late=True) - needed
        declared = {self.owner[name] for name in self._said(rest, "") if name in self.late}
        late = rest - declared
        late |= self._copied(late, needed | declared)
        return "".join(
            (
                self._text(needed | declared),
                f"local function bind()\n{self._text(late)}end\n\n" if rest else "",
                *(
                    f"{name} = function(...) bind() return {name}(...) end\n"
                    for name in sorted(bound_late)
                ),
                script,
            )
        )

    def _copied(self, late: set[int], around: set[int]) -> set[int]:
        """The shortest functions among those around that have to stand in `late` once more."""
        looked_at = {name for name in self._said(late, "") if self.owner.get(name) in around}
        places = {self.owner[name] for name in looked_at}
        copied: set[int] = set()
        for place in sorted(places, key=lambda each: (len(self.paragraphs[each].source), each)):
            paragraph = self.paragraphs[place]
            own = {name for name in paragraph.mentions if self.owner.get(name) in around - copied}
            if len(looked_at) <= MOST_AROUND:
                break
            if paragraph.functions_only and own <= looked_at:
                copied.add(place)
                looked_at -= paragraph.defines
        return copied

    def _reached(self, names: Iterable[str], *, through_late: bool = False) -> set[int]:
        """The paragraphs that define these names, and those that these mention in turn."""
        reached: set[int] = set()
        open_names = set(names)
        while open_names:
            name = open_names.pop()
            places = {self.owner.get(name), self.late.get(name) if through_late else None}
            for place in places - {None} - reached:
                assert place is not None
                reached.add(place)
                open_names |= self.paragraphs[place].mentions
        return reached

    def _said(self, places: Iterable[int], script: str) -> frozenset[str]:
        return _mentioned(script).union(*(self.paragraphs[place].mentions for place in places))

    def _text(self, places: Iterable[int]) -> str:
        return "".join(f"{self.paragraphs[place].source}\n\n" for place in sorted(places))


def _paragraphs(text: str) -> Iterable[Paragraph]:
    for source in re.split(r"\n{2,}", text.strip("\n")):
        code = _NOT_CODE.sub("", source)
        if not code.strip():
            continue
        functions, declared = set(_FUNCTION.findall(code)), set[str]()
        valued = set(functions)
        for names, equals in _LOCALS.findall(code):
            (valued if equals else declared).update(_NAME.findall(names))
        defines = frozenset(valued | set(_ASSIGNED.findall(code)))
        if not defines | declared:
            raise ValueError(f"this paragraph defines nothing: {source!r}")
        only = defines == functions and not declared
        yield Paragraph(source, _mentioned(source) - declared, defines, frozenset(declared), only)


def _mentioned(source: str) -> frozenset[str]:
    return frozenset(_NAME.findall(_NOT_CODE.sub("", source)))
