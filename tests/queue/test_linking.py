"""Stories of scripts that get what they mention of the shared Lua, and of what is bound late."""

from typing import TYPE_CHECKING, Any

import fakeredis
import pytest

from ecs_queue.connection import connect_sync
from ecs_queue.linking import Shared
from ecs_queue.script import sources

if TYPE_CHECKING:
    from ecs_queue.embedded import EmbeddedValkey

SHARED = """
-- The alphabet, and what isn't there.
local first, last = 'a', 'z'

local deep, unused

local function both()
  return first .. last
end

local function ask(word)
  return word == '' and both() or deep(word)
end

-- Only `deep` leads here.
local calls = 0

local function count()
  calls = calls + 1
  return calls
end

deep = function(word)
  return word .. count() .. both()
end

unused = function()
  return both()
end

local function never_mentioned()
  return 'deep'
end
"""


def run(script: str) -> Any:
    """What Redis answers to the script."""
    return fakeredis.FakeRedis().eval(Shared.of(SHARED).linked(script), 0)


def test_a_script_gets_what_it_mentions() -> None:
    """Also what that mentions in turn; not what only strings and comments mention."""
    linked = Shared.of(SHARED).linked("return both()  -- 'ask' is not asked")
    assert linked == (
        "-- The alphabet, and what isn't there.\nlocal first, last = 'a', 'z'\n\n"
        "local function both()\n  return first .. last\nend\n\n"
        "return both()  -- 'ask' is not asked"
    )
    assert run("return both()") == b"az"


def test_a_script_that_mentions_nothing_stays_as_it_is() -> None:
    """Nothing stands before it that Redis would have to run."""
    assert Shared.of(SHARED).linked("return 1") == "return 1"


def test_what_is_declared_ahead_is_made_when_it_is_called() -> None:
    """The first call makes it, the second one meets the same variables."""
    assert run("return {ask(''), ask('x'), deep('y'), ask('z')}") == [
        b"az",
        b"x1az",
        b"y2az",
        b"z3az",
    ]
    linked = Shared.of(SHARED).linked("return ask('')")
    assert linked.index("local function bind()") < linked.index("local calls = 0")
    assert "deep = function(...) bind() return deep(...) end" in linked
    assert "never_mentioned" not in linked
    assert "unused = function" not in linked


def test_what_is_bound_late_may_need_more_names_than_lua_lets_a_function_look_at() -> None:
    """The script and what is bound late share 62 functions, and one variable, which stays one."""
    names = [f"one_{number}" for number in range(62)]
    halves = [" + ".join(f"{name}()" for name in some) for some in (names[:31], names[31:])]
    paragraphs = [
        "local late, later",
        *(f"local function {name}() return 1 end" for name in names),
        "local calls = 0",
        "local function called()\n  calls = calls + 1\n  return calls\nend",
        f"later = function() return {halves[1]} end",
        f"late = function() return {halves[0]} + later() + called() end",
    ]
    script = f"return {{{' + '.join(halves)}, called(), late(), late()}}"
    linked = Shared.of("\n\n".join(paragraphs)).linked(script)
    assert fakeredis.FakeRedis().eval(linked, 0) == [62, 1, 64, 65]


def test_a_paragraph_that_nobody_could_mention_is_refused() -> None:
    """A blank line inside a function would tear it apart: that is said, not linked."""
    with pytest.raises(ValueError, match="defines nothing: '  return 2"):
        Shared.of("local function one()\n\n  return 2\nend")


def test_a_small_script_stays_small() -> None:
    """A renewal of a lease carries no gangs along; the end of a job binds them late."""
    scripts = sources()
    assert "gang" not in scripts["renew"]
    before, late = scripts["finish"].split("local function bind()")
    assert "disband" not in before
    assert "disband" in late


def test_every_script_has_room_for_a_few_names_more(valkey: "EmbeddedValkey") -> None:
    """Who adds some to the shared text is not stopped by Lua's limit of 60."""
    names = [f"one_more_{number}" for number in range(5)]
    first = "".join(f"local {name} = 1\n" for name in names)
    more = f"local function bind()\n{names[0]} = {' + '.join(names)}\n"
    with connect_sync(valkey.url) as client:
        for source in sources().values():
            assert client.script_load(first + source.replace("local function bind()\n", more))
