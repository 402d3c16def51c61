"""What the instances are and cost, whatever runs there: worked out once for many batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecs_placement.columns import Columns
from ecs_placement.list_prices import rates_of
from ecs_placement.policy import Prices
from ecs_placement.request import CPU, GPU, MEMORY
from ecs_placement.snapshot import Snapshot

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_TINY = 1e-12
_DIGITS = 12
"""Prices that differ by less are equal: they were added up in another order."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Per instance its weighted `capacity`, its `cost` (price per capacity, as a share of the
    dearest) and its `kind`; per kind its `price` in the same measure, and its `total`, int64[d, k].
    """

    capacity: Floats
    largest: float
    cost: Floats
    kind: Ints
    price: Floats
    total: Ints

    def tiers(self, demand: Sequence[int], ahead: int) -> Ints:
        """int64[k]: the order in which empty instances of each kind are opened for a shape, the
        last one 0: the cheapest per task comes first, were it filled with `ahead` of them.
        """
        fits = np.full(self.price.size, ahead, dtype=np.int64)
        for asked, total in zip(demand, self.total, strict=False):
            if asked > 0:
                np.minimum(fits, total // asked, out=fits)
        per_task = np.rint(self.price / np.maximum(fits, 1) * 10.0**_DIGITS).tolist()
        tier = {price: at for at, price in enumerate(sorted(set(per_task), reverse=True))}
        return np.array([tier[price] for price in per_task], dtype=np.int64)


def fleet_of(snapshot: Snapshot, weights: Floats, prices: Prices) -> Fleet:
    """The fleet by these weights of a unit of each column, float64[d]."""
    if (snapshot.free > snapshot.total).any():
        return _fleet(snapshot, weights, prices)
    key = ("fleet", prices, tuple(weights.tolist()))
    return snapshot.lasting.get(key, Fleet, lambda: _fleet(snapshot, weights, prices))


def _fleet(snapshot: Snapshot, weights: Floats, prices: Prices) -> Fleet:
    largest = np.maximum(snapshot.total, snapshot.free).T
    capacity = np.zeros(len(snapshot))
    for weight, total in zip(weights.tolist(), largest, strict=False):
        capacity += weight * total
    capacity = np.maximum(capacity, _TINY)
    cost = relative_prices(prices, snapshot, capacity)
    price = cost * capacity
    some, kind = _kinds(price, snapshot.total)
    return Fleet(
        capacity=capacity,
        largest=float(capacity.max(initial=_TINY)),
        cost=cost,
        kind=kind,
        price=price[some],
        total=np.ascontiguousarray(snapshot.total[some].T),
    )


def _kinds(price: Floats, totals: Ints) -> tuple[Ints, Ints]:
    """A row of each kind, and the kind of each row: those of one kind have the same price and
    the same in all. They are told apart by a sum; a kind in two parts costs nothing.
    """
    looks = price * np.pi
    for number, total in enumerate(totals.T, start=2):
        looks = looks + total * np.sqrt(number * number + 1)
    _, some, kind = np.unique(looks, return_index=True, return_inverse=True)
    return some, kind.reshape(-1)


def relative_prices(prices: Prices, snapshot: Snapshot, capacity: Floats) -> Floats:
    """float64[n]: price per weighted `capacity`, as a share of the dearest; 1 where not known. List
    prices where none is known of any row.
    """
    columns = Columns(snapshot)
    per_capacity = _prices(prices, columns) / capacity
    if not np.isfinite(per_capacity).any():
        per_capacity = _list_prices(snapshot, columns) / capacity
    known = per_capacity[np.isfinite(per_capacity)]
    dearest = float(known.max(initial=0.0))
    if not dearest:
        return np.ones(len(snapshot))
    return np.where(np.isfinite(per_capacity), per_capacity / dearest, 1.0)


def _prices(prices: Prices, columns: Columns) -> Floats:
    """The price of each row; NaN where none is known."""
    column = columns.column(f"attribute:{prices.attribute}")
    table = dict(prices.of)
    otherwise = float("nan") if prices.otherwise is None else prices.otherwise
    of_value = [
        table.get(str(value), otherwise) if table else _number(value, otherwise)
        for value in column.values
    ]
    return np.array(of_value, dtype=np.float64)[column.code]


def _list_prices(snapshot: Snapshot, columns: Columns) -> Floats:
    """The list price of each row, by its type and what it has."""
    column = columns.column("attribute:ecs.instance-type")
    rates = np.array([rates_of(str(value)) for value in column.values], dtype=np.float64)
    whole, *per_unit = rates.reshape(-1, 4)[column.code].T
    price: Floats = whole
    for each, dimension in zip(per_unit, (CPU, MEMORY, GPU), strict=True):
        price = price + each * snapshot.total[:, dimension]
    return price


def _number(value: object, otherwise: float) -> float:
    try:
        price = float(str(value))
    except ValueError:
        return otherwise
    return price if 0 <= price < float("inf") else otherwise
