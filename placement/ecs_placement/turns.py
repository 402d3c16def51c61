"""In which order rows take the next tasks of a chain, worked out for many tasks at once.

Where a row's keys depend on that row alone, it is taken for its (k+1)-th task when the largest of
its keys up to there has its turn: sorting by that gives what choosing one by one gives. One spread
over an attribute besides is merged: each of its values goes through its own rows in their order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Key = Callable[[Ints, Ints], Ints | Floats]
"""What one strategy wants least of, given candidates and how many tasks each has been given."""

_WIDE = 2**62
PAIRS = 20_000
"""Bounds the memory and the work of one wave, never the answer."""


@dataclass(slots=True)
class Spread:
    """Tasks per value of an attribute; `code` is the value of each candidate."""

    code: Ints
    tasks: Ints


@dataclass(frozen=True, slots=True)
class Keys:
    """What decides, in this order: `before`, the tasks of the `spread`, `after`. `falls`: a row
    that was taken once stays the best among those of its value until it is full.
    """

    before: Sequence[Key]
    spread: Spread | None
    after: Sequence[Key]
    falls: bool

    def own(self, at: Ints, taken: Ints) -> Ints:
        """The order of candidates among those of one value."""
        return coded([key(at, taken) for key in (*self.before, *self.after)], at.size)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The next tasks, value by value, each in the order in which its candidates take them.

    `taken` is how many its candidate has then. `last`: what follows on it is not known.
    """

    at: Ints
    taken: Ints
    last: Bools


def fill(keys: Keys, fits: Ints, count: int, pairs: int = PAIRS) -> Ints:
    """How many of `count` tasks each candidate takes, as if one were placed after the other; at
    most about so many `pairs` of candidate and task are looked at ahead at once.
    """
    taken = np.zeros(fits.size, dtype=np.int64)
    count = min(count, int(fits.sum()))
    if keys.spread is None and keys.falls:
        _pour(keys, fits, count, taken)
        return taken
    few = min(pairs, 4 * count)
    while count > 0:
        ahead = (_poured if keys.falls else _known)(keys, fits, taken, (count, few))
        chosen = _first(ahead, count) if keys.spread is None else _merged(ahead, keys, count)
        np.add.at(taken, ahead.at[chosen], 1)
        count -= len(chosen)
        few = min(pairs, 4 * few)
    return taken


def _pour(keys: Keys, fits: Ints, count: int, taken: Ints) -> None:
    order = np.argsort(keys.own(np.arange(fits.size), taken), kind="stable")
    before = np.cumsum(fits[order]) - fits[order]
    taken[order] = np.clip(count - before, 0, fits[order])


def _poured(keys: Keys, fits: Ints, taken: Ints, most: tuple[int, int]) -> _Ahead:
    """Candidate after candidate until it is full, `wave` tasks of each value at most; fewer where
    there are many values.
    """
    assert keys.spread is not None
    wave, pairs = most
    each = max(1, min(wave, pairs // keys.spread.tasks.size))
    open_ = np.flatnonzero(taken < fits)
    left = (fits - taken)[open_]
    value = _value(keys, open_)
    order = np.lexsort((keys.own(open_, taken[open_]), value))
    open_, left, value = open_[order], left[order], value[order]
    before = np.cumsum(left) - left
    before -= before[np.searchsorted(value, value)]
    left = np.clip(each - before, 0, left)
    at = np.repeat(open_, left)
    step = np.arange(at.size) - np.repeat(np.cumsum(left) - left, left)
    last = (np.repeat(before, left) + step == each - 1) & (each < wave)
    return _Ahead(at, taken[at] + step, last)


def _known(keys: Keys, fits: Ints, taken: Ints, most: tuple[int, int]) -> _Ahead:
    """The next few tasks of the candidates that can matter to the next `wave` of them."""
    wave, pairs = most
    open_ = np.flatnonzero(taken < fits)
    open_ = _best(keys, open_, taken, wave)
    left = (fits - taken)[open_]
    depth = max(1, min(wave, int(left.max()), max(2, pairs // open_.size)))
    step = np.arange(depth)
    known = step < left[:, None]
    at = np.repeat(open_, depth)
    then = (taken[open_][:, None] + step).reshape(-1)
    code = keys.own(at, then).reshape(-1, depth)
    turn = np.maximum.accumulate(code, axis=1)[known]
    last = (known & (step == depth - 1) & (left[:, None] > depth))[known]
    flat = known.reshape(-1)
    at, then = at[flat], then[flat]
    order = np.lexsort((turn, _value(keys, at)))
    return _Ahead(at[order], then[order], last[order])


def _best(keys: Keys, open_: Ints, taken: Ints, most: int) -> Ints:
    """The `most` best candidates of each value: no other takes any of the next `most` tasks."""
    if open_.size <= most:
        return open_
    code, value = keys.own(open_, taken[open_]), _value(keys, open_)
    if keys.spread is None:
        near = np.flatnonzero(code <= np.partition(code, most - 1)[most - 1])
        return open_[np.sort(near[np.argsort(code[near], kind="stable")][:most])]
    order = np.lexsort((code, value))
    value = value[order]
    place = np.arange(value.size) - np.searchsorted(value, value)
    return np.sort(open_[order[place < most]])


def _value(keys: Keys, at: Ints) -> Ints:
    return np.zeros(at.size, dtype=np.int64) if keys.spread is None else keys.spread.code[at]


def _first(ahead: _Ahead, wave: int) -> Ints:
    unsure = np.flatnonzero(ahead.last[:wave])
    end = int(unsure[0]) + 1 if unsure.size else min(wave, ahead.at.size)
    return np.arange(end)


def _merged(ahead: _Ahead, keys: Keys, wave: int) -> list[int]:
    """One task after the other from the value whose next one is best; counts them there."""
    assert keys.spread is not None
    size = ahead.at.size
    before = coded([key(ahead.at, ahead.taken) for key in keys.before], size).tolist()
    after = coded([key(ahead.at, ahead.taken) for key in keys.after], size).tolist()
    row, last = ahead.at.tolist(), ahead.last.tolist()
    values = keys.spread.code[ahead.at]
    starts = np.flatnonzero(np.diff(values, prepend=-1)).tolist()
    ends = [*starts[1:], size]
    tasks = keys.spread.tasks[values[starts]].tolist()
    heads = [
        (before[at], tasks[value], after[at], row[at], at, value) for value, at in enumerate(starts)
    ]
    heapify(heads)
    chosen: list[int] = []
    while heads and len(chosen) < wave:
        *_, at, value = heads[0]
        chosen.append(at)
        tasks[value] += 1
        if last[at]:
            break
        at += 1
        if at < ends[value]:
            heapreplace(heads, (before[at], tasks[value], after[at], row[at], at, value))
        else:
            heappop(heads)
    keys.spread.tasks[values[starts]] = tasks
    return chosen


def coded(keys: Sequence[Ints | Floats], size: int) -> Ints:
    """One integer each in the place of several keys, in their lexicographic order."""
    code, span = np.zeros(size, dtype=np.int64), 1
    if not size:
        return code
    for key in keys:
        digit = _ranks(key) if key.dtype == np.float64 else key.astype(np.int64) - key.min()
        if span * (int(digit.max()) + 1) > _WIDE:
            digit, code = _ranks(digit), _ranks(code)
            span = int(code.max()) + 1
        width = int(digit.max()) + 1
        code, span = code * width + digit, span * width
    return code


def _ranks(key: Ints | Floats) -> Ints:
    _, rank = np.unique(key, return_inverse=True)
    return rank.reshape(-1).astype(np.int64)
