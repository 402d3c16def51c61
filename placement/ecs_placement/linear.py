"""A small dense linear program, solved exactly: the revised simplex method on an explicit inverse.

It is meant for a few hundred rows, as the volume plan of `volume` has; no such solver is in numpy.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINY = 1e-10
_REFRESH = 150  # pivots after which the inverse is computed afresh, before errors add up


def maximise(gain: Floats, uses: Floats, limit: Floats) -> tuple[Floats, Floats]:
    """Maximise gain·x subject to uses·x ≤ limit and x ≥ 0, with limit ≥ 0: x and the prices of
    the limits.

    The limits are shifted by distinct amounts around 1e-9, so that no two bases tie and it cannot
    cycle; x is then taken from the optimal basis with the true limits.
    """
    rows, columns = uses.shape
    shifted = limit + 1e-9 * (1.0 + np.random.default_rng(rows).random(rows))
    table = np.hstack([uses, np.eye(rows)])
    gains = np.concatenate([gain, np.zeros(rows)])
    basis = np.arange(columns, columns + rows)
    inverse, at = np.eye(rows), shifted.copy()
    for pivot in range(1, 50 * (rows + columns)):
        reduced = gains - (gains[basis] @ inverse) @ table
        reduced[basis] = 0.0
        enters = int(reduced.argmax())
        direction = inverse @ table[:, enters]
        bounds = direction > _TINY
        if reduced[enters] <= _TINY or not bounds.any():
            break
        ratio = np.where(bounds, at / np.where(bounds, direction, 1.0), np.inf)
        leaves = int(ratio.argmin())
        step = max(float(ratio[leaves]), 0.0)
        at -= step * direction
        at[leaves] = step
        scaled = inverse[leaves] / direction[leaves]
        inverse -= np.outer(direction, scaled)
        inverse[leaves] = scaled
        basis[leaves] = enters
        if pivot % _REFRESH == 0:
            inverse = np.linalg.inv(table[:, basis])
            at = inverse @ shifted
    prices: Floats = np.maximum(gains[basis] @ inverse, 0.0)
    x = np.zeros(columns + rows)
    x[basis] = np.maximum(inverse @ limit, 0.0)
    return x[:columns], prices
