"""Isolation trees as flat arrays, walked by compiled kernels.

Trees lie one after another, each breadth first, so that siblings are neighbours: the right child is `left + 1`. A leaf points
to itself. Values and thresholds are compared as order-preserving int32 codes of their float32, so that a node is one 16-byte
record. `path` is the expected path length: in a leaf its depth plus the mean depth of an unsuccessful search among the
training rows that ended there, in an inner node the mean over its training rows.
Source: Liu, Ting, Zhou, "Isolation Forest", ICDM 2008, equations 1 and 2.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.jit import kernel
from aiops.types import FloatArray, IntArray

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest as SklearnForest

COLUMN: Final = 0
THRESHOLD: Final = 1
LEFT: Final = 2
EULER: Final = 0.5772156649015329
BLOCK: Final = 128
"""Rows walked together through one tree, so that their memory accesses overlap."""

LARGEST: Final = 1e30

BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]


class FlatForest(NamedTuple):
    """A forest: `nodes` (k, 4) int32 = column, threshold code, left child, 0; `path` (k,); `roots`, `depths` a tree each."""

    nodes: Int32Array
    path: FloatArray
    roots: Int32Array
    depths: Int32Array


def ordered_code(values: npt.NDArray[np.float32]) -> Int32Array:
    """Return int32 codes in the order of the float32 values (no NaN); both zeros have one code.

    >>> codes = ordered_code(np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf], dtype=np.float32))
    >>> np.diff(codes.astype(np.int64)).tolist()[2], bool((np.diff(codes.astype(np.int64)) >= 0).all())
    (0, True)
    """
    bits = np.ascontiguousarray(values + np.float32(0.0)).view(np.int32)
    return np.where(bits >= 0, bits, bits ^ np.int32(0x7FFFFFFF)).astype(np.int32)


def mean_search_depth(rows: FloatArray) -> FloatArray:
    """Return c(n), the mean depth of an unsuccessful search in a binary tree of n rows (equation 1).

    >>> mean_search_depth(np.array([1.0, 2.0])).tolist()
    [0.0, 1.0]
    """
    many = np.maximum(rows, 3.0)
    depth = 2.0 * (np.log(many - 1.0) + EULER) - 2.0 * (many - 1.0) / many
    return np.where(rows <= 1.0, 0.0, np.where(rows == 2.0, 1.0, depth))


@kernel
def filled_codes(rows: FloatArray, medians: FloatArray) -> tuple[Int32Array, BoolArray]:
    """Return `ordered_code` of rows (n, columns), C-ordered, unknown values read as medians, and (n,) whether any is known.

    Values are clipped to what float32 holds: beyond every split it makes no difference.
    """
    single = np.empty(rows.shape, dtype=np.float32)
    codes = single.view(np.int32)
    known = np.zeros(rows.shape[0], dtype=np.bool_)
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            value = rows[row, column]
            if np.isfinite(value):
                known[row] = True
            else:
                value = medians[column]
            single[row, column] = np.float32(min(max(value, -LARGEST), LARGEST)) + np.float32(0.0)
    for row in range(rows.shape[0]):
        for column in range(rows.shape[1]):
            if codes[row, column] < 0:
                codes[row, column] ^= np.int32(0x7FFFFFFF)
    return codes, known


def flatten(forest: "SklearnForest") -> FlatForest:
    """Return the trees of a fitted sklearn forest that sees all columns (max_features = 1)."""
    nodes: list[Int32Array] = []
    paths: list[FloatArray] = []
    roots: list[int] = []
    depths: list[int] = []
    offset = 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        order, depth = _breadth_first(tree.children_left, tree.children_right)
        records, path = _flat_tree(tree, order, depth)
        records[:, LEFT] += offset
        nodes.append(records)
        paths.append(path)
        roots.append(offset)
        depths.append(int(depth.max()))
        offset += order.size
    return FlatForest(
        np.concatenate(nodes), np.concatenate(paths), np.array(roots, dtype=np.int32), np.array(depths, dtype=np.int32)
    )


def _breadth_first(left: IntArray, right: IntArray) -> tuple[IntArray, IntArray]:
    order, depth, cursor = [0], [0], 0
    while cursor < len(order):
        node = order[cursor]
        if left[node] >= 0:
            order += [int(left[node]), int(right[node])]
            depth += [depth[cursor] + 1] * 2
        cursor += 1
    return np.array(order, dtype=np.int64), np.array(depth, dtype=np.int64)


def _flat_tree(tree: object, order: IntArray, depth: IntArray) -> tuple[Int32Array, FloatArray]:
    children: IntArray = np.asarray(tree.children_left)[order]  # type: ignore[attr-defined]
    rows: FloatArray = np.asarray(tree.n_node_samples, dtype=np.float64)[order]  # type: ignore[attr-defined]
    splits: FloatArray = np.asarray(tree.threshold, dtype=np.float64)[order]  # type: ignore[attr-defined]
    columns: IntArray = np.asarray(tree.feature)[order]  # type: ignore[attr-defined]
    inner = children >= 0
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    left = np.where(inner, place[np.maximum(children, 0)], np.arange(order.size))
    path = depth + mean_search_depth(rows)
    for node in np.flatnonzero(inner)[::-1]:
        child = left[node]
        path[node] = (rows[child] * path[child] + rows[child + 1] * path[child + 1]) / rows[node]
    records = np.zeros((order.size, 4), dtype=np.int32)
    records[:, COLUMN] = np.where(inner, columns, 0)
    records[:, THRESHOLD] = ordered_code(np.where(inner, _round_down(splits), np.float32(np.inf)))
    records[:, LEFT] = left
    return records, path


def _round_down(threshold: FloatArray) -> npt.NDArray[np.float32]:
    """Return the largest float32 <= threshold: for float32 x, `x <= threshold` is then the same test in float32."""
    single = threshold.astype(np.float32)
    return np.where(single.astype(np.float64) > threshold, np.nextafter(single, np.float32(-np.inf)), single)


@kernel
def path_lengths(codes: Int32Array, forest: FlatForest) -> FloatArray:
    """Return (n,) mean path length over the trees; `codes` (n, columns) of finite values, C-ordered. O(n trees depth).

    Unsigned indices spare the test for negative ones; nothing is checked here.
    """
    total = np.zeros(codes.shape[0])
    node = np.empty(BLOCK, dtype=np.uint32)
    for start in range(0, codes.shape[0], BLOCK):
        size = min(BLOCK, codes.shape[0] - start)
        for tree in range(forest.roots.size):
            for row in range(size):
                node[row] = np.uint32(forest.roots[tree])
            for _ in range(forest.depths[tree]):
                for row in range(size):
                    here = node[row]
                    right = codes[np.uint64(start + row), np.uint32(forest.nodes[here, COLUMN])] > forest.nodes[here, THRESHOLD]
                    node[row] = np.uint32(forest.nodes[here, LEFT]) + np.uint32(right)
            for row in range(size):
                total[start + row] += forest.path[node[row]]
    return total / forest.roots.size


@kernel
def path_contributions(codes: Int32Array, forest: FlatForest) -> FloatArray:
    """Return (n, columns): how much each column's splits lengthened the mean path beyond the roots' expectation.

    A row's contributions add up to its mean path length minus the mean of the roots' `path`.
    """
    given = np.zeros(codes.shape)
    for row in range(codes.shape[0]):
        for tree in range(forest.roots.size):
            here = np.int64(forest.roots[tree])
            for _ in range(forest.depths[tree]):
                column = forest.nodes[here, COLUMN]
                right = codes[row, column] > forest.nodes[here, THRESHOLD]
                following = np.int64(forest.nodes[here, LEFT]) + np.int64(right)
                given[row, column] += forest.path[following] - forest.path[here]
                here = following
    return given / forest.roots.size
