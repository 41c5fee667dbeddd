"""Who belongs to whom: the pairs of two sets that gain the most together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]


def best_pairs(gain: npt.NDArray[np.floating]) -> tuple[Places, Places]:
    """Rows and columns of ``gain`` (n, m) in pairs, nobody twice, with the highest sum.

    Only pairs that gain more than 0 are made. Exact: pairs that nobody contests are taken at once,
    the rest is solved by shortest augmenting paths (Jonker and Volgenant 1987).
    """
    worth = np.maximum(gain, 0).astype(np.float64)
    allowed = worth > 0
    alone = allowed & (allowed.sum(1, keepdims=True) == 1) & (allowed.sum(0) == 1)
    rows, columns = np.nonzero(alone)
    contested = np.flatnonzero((allowed & ~alone).any(1))
    wanted = np.flatnonzero((allowed & ~alone).any(0))
    if len(contested):
        part = worth[np.ix_(contested, wanted)]
        turned = len(contested) > len(wanted)
        partner = _augmented(-(part.T if turned else part))
        first, second = np.arange(len(partner)), partner
        if turned:
            first, second = second, first
        real = part[first, second] > 0
        rows = np.concatenate([rows, contested[first[real]]])
        columns = np.concatenate([columns, wanted[second[real]]])
    order = np.argsort(rows)
    return rows[order], columns[order]


def _augmented(cost: npt.NDArray[np.float64]) -> Places:
    """The column of each row with the least total cost; no more rows than columns."""
    n, m = cost.shape
    row_price, column_price = np.zeros(n), np.zeros(m)
    owner = np.full(m, -1)
    partner = np.full(n, -1)
    for start in range(n):
        distance, came_from = np.full(m, np.inf), np.full(m, -1)
        settled = np.zeros(m, bool)
        row, reached = start, 0.0
        while True:
            through = reached + cost[row] - row_price[row] - column_price
            nearer = ~settled & (through < distance)
            distance[nearer], came_from[nearer] = through[nearer], row
            column = int(np.argmin(np.where(settled, np.inf, distance)))
            reached = float(distance[column])
            settled[column] = True
            if owner[column] < 0:
                break
            row = int(owner[column])
        # prices that keep every reduced cost at 0 or more, and at 0 for the pairs made
        gone = settled & (owner >= 0)
        row_price[start] += reached
        row_price[owner[gone]] += reached - distance[gone]
        column_price[gone] -= reached - distance[gone]
        while True:
            row = int(came_from[column])
            owner[column] = row
            partner[row], column = column, int(partner[row])
            if row == start:
                break
    return partner
