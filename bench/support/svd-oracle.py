"""Distances of low-rank products from a matrix, and the smallest ones there are, in float64.

The file holds W (rows x cols) and, for each rank, left (rows x rank) and right (rank x cols), all float32. Prints
{"norm": ||W||_F, "ranks": [{"distance": ||W - left right||_F, "optimum": sqrt(sum of squared singular values beyond rank)}]};
the singular values are LAPACK's (gesdd).
"""

import json
import sys

import numpy as np

problem = json.loads(sys.argv[1])
rows, cols = problem["rows"], problem["cols"]
data = np.fromfile(problem["path"], np.float32)
at = 0


def take(m, n):
    global at
    at += m * n
    return data[at - m * n : at].reshape(m, n).astype(np.float64)


W = take(rows, cols)
squares = np.linalg.svd(W, compute_uv=False) ** 2
results = []
for rank in problem["ranks"]:
    left, right = take(rows, rank), take(rank, cols)
    distance = np.linalg.norm(W - left @ right)
    results.append({"distance": float(distance), "optimum": float(np.sqrt(squares[rank:][::-1].sum()))})
print(json.dumps({"norm": float(np.linalg.norm(W)), "ranks": results}))
