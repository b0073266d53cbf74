"""The optimum of lfai's objective by scipy's L-BFGS in float64.

ReLU by the arc-cosine kernel; every other activation by Hermite series, E[s(a)s(b)] = sum_k c_k(alpha) c_k(beta) rho^k,
their coefficients by Gauss-Legendre panels split at the kinks. Independent of the project's closed forms. Reads weight,
left and right (float32) from the file and writes the minimized left and right back.
"""

import json
import sys

import numpy as np
from scipy.optimize import minimize
from scipy.special import erf

problem = json.loads(sys.argv[1])
m, d, r, k = (problem[key] for key in ("rows", "cols", "rank", "rowsPerNeuron"))
activation = problem["activation"]
data = np.fromfile(problem["path"], np.float32).astype(np.float64)
W, U, V = data[: m * d].reshape(m, d), data[m * d : m * d + m * r].reshape(m, r), data[m * d + m * r :].reshape(r, d)
n = m // k


def per_neuron(a):
    return a.reshape(n, -1).sum(1)


alpha = np.sqrt(per_neuron(W * W))


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def clip(low, high):
    return lambda x: np.clip(x, low, high), lambda x: ((x > low) & (x < high)).astype(float)


def describe():
    """sigma, sigma', kinks."""
    kind = activation["kind"]
    if kind == "LeakyRelu":
        s = activation["alpha"]
        return (lambda x: np.where(x > 0, x, s * x)), (lambda x: np.where(x > 0, 1.0, s)), [0.0]
    if kind == "Clip":
        low, high = activation["min"], activation["max"]
        return *clip(low, high), [low, high]
    if kind == "HardSigmoid":
        s, o = activation["alpha"], activation["beta"]
        return (
            lambda x: np.clip(s * x + o, 0, 1),
            lambda x: s * ((s * x + o > 0) & (s * x + o < 1)),
            [-o / s, (1 - o) / s],
        )
    if kind == "HardSwish":
        return (
            lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
            lambda x: np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)),
            [-3.0, 3.0],
        )
    if kind == "SiLU":
        return (lambda x: x * sigmoid(x)), (lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))), []
    if kind == "Sigmoid":
        return sigmoid, (lambda x: sigmoid(x) * (1 - sigmoid(x))), []
    if kind == "Tanh":
        return np.tanh, (lambda x: 1 - np.tanh(x) ** 2), []
    if kind == "Gelu":
        cdf = lambda x: 0.5 * (1 + erf(x / np.sqrt(2)))
        return (lambda x: x * cdf(x)), (lambda x: cdf(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)), []
    raise SystemExit(f"no rule for {kind}")


TERMS, POINTS, PANELS = 80, 10, 20


def hermite_functions(z):
    """He_j(z)/sqrt(j!) for j < TERMS, times phi(z); z of any shape, terms first."""
    out = np.empty((TERMS,) + z.shape)
    out[0] = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    out[1] = z * out[0]
    for j in range(2, TERMS):
        out[j] = (z * out[j - 1] - np.sqrt(j - 1) * out[j - 2]) / np.sqrt(j)
    return out


gl_x, gl_w = np.polynomial.legendre.leggauss(POINTS)


def coefficients(scale, f, kinks):
    """c_j(s) = E[f(s z) h_j(z)] for each s in scale: TERMS x len(scale)."""
    edges = np.linspace(-13, 13, PANELS + 1)[None, :].repeat(len(scale), 0)
    extra = [np.clip(t / np.maximum(scale, 1e-12), -13, 13)[:, None] for t in kinks]
    edges = np.sort(np.concatenate([edges] + extra, 1), 1)
    half = (edges[:, 1:] - edges[:, :-1]) / 2
    mid = (edges[:, 1:] + edges[:, :-1]) / 2
    z = (mid[:, :, None] + half[:, :, None] * gl_x).reshape(len(scale), -1)
    w = (half[:, :, None] * gl_w).reshape(len(scale), -1)
    values = w * f(scale[:, None] * z)
    h = hermite_functions(z)
    c = np.einsum("jnz,nz->jn", h, values)
    # E f(sz)^2 and, for derivatives in s, E[z f(sz) g(sz)] need the density alone.
    return c, z, w * h[0]


def relu(U, V):
    BB, WV = V @ V.T, W @ V.T
    UBB = U @ BB
    beta = np.sqrt(np.maximum(per_neuron(U * UBB), 0))
    g = per_neuron(U * WV)
    ab = alpha * beta
    rho = np.clip(np.divide(g, ab, out=np.zeros_like(g), where=ab > 0), -1, 1)
    th = np.arccos(rho)
    kappa = (np.sin(th) + (np.pi - th) * rho) / np.pi
    loss = (alpha**2 / 2 + beta**2 / 2 - ab * kappa).sum()
    by_v = 1 - np.divide(alpha * np.sin(th), np.pi * beta, out=np.zeros_like(g), where=beta > 0)
    by_w = -(1 - th / np.pi)
    return loss, by_v, by_w, UBB, WV


if activation["kind"] != "Relu":
    sigma, slope, kinks = describe()
    teacher, z0, p0 = coefficients(alpha, sigma, kinks)
    teacher_moment = (p0 * sigma(alpha[:, None] * z0) ** 2).sum(1)


def general(U, V):
    BB, WV = V @ V.T, W @ V.T
    UBB = U @ BB
    beta = np.sqrt(np.maximum(per_neuron(U * UBB), 1e-300))
    g = per_neuron(U * WV)
    ab = np.maximum(alpha * beta, 1e-300)
    rho = np.clip(g / ab, -1, 1)
    student, z, p = coefficients(beta, sigma, kinks)
    x = beta[:, None] * z
    s, ds = sigma(x), slope(x)
    # d c_k / d beta = E[z sigma'(beta z) h_k]
    h = hermite_functions(z)
    w = np.divide(p, h[0], out=np.zeros_like(p), where=h[0] > 0)
    d_student = np.einsum("jnz,nz->jn", h, w * z * ds)
    powers = rho[None, :] ** np.arange(TERMS)[:, None]
    joint = (teacher * student * powers).sum(0)
    d_rho = (np.arange(1, TERMS)[:, None] * teacher[1:] * student[1:] * powers[:-1]).sum(0)
    d_beta = (teacher * d_student * powers).sum(0)
    loss = (teacher_moment + (p * s * s).sum(1) - 2 * joint).sum()
    r_beta = 2 * (p * s * ds * z).sum(1) - 2 * d_beta
    r_rho = -2 * d_rho
    by_w = np.where(alpha > 0, r_rho / ab, 0)
    by_v = (r_beta - r_rho * rho / beta) / beta
    return loss, by_v, by_w, UBB, WV


rule = relu if activation["kind"] == "Relu" else general
scale = max(rule(U, V)[0], 1e-30)


def f(x):
    U, V = x[: m * r].reshape(m, r), x[m * r :].reshape(r, d)
    loss, by_v, by_w, UBB, WV = rule(U, V)
    by_v, by_w = np.repeat(by_v, k)[:, None], np.repeat(by_w, k)[:, None]
    dU = by_v * UBB + by_w * WV
    dV = (U.T @ (by_v * U)) @ V + (by_w * U).T @ W
    return loss / scale, np.concatenate([dU.ravel(), dV.ravel()]) / scale


steps = 1500 if activation["kind"] == "Relu" else 300
options = dict(maxiter=steps, maxfun=2 * steps, maxcor=20, ftol=1e-11, gtol=1e-10)
found = minimize(f, np.concatenate([U.ravel(), V.ravel()]), jac=True, method="L-BFGS-B", options=options)
found.x.astype(np.float32).tofile(problem["path"])
