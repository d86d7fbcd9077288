"""How likely each key is asked for in a window: a predictor's port, and the default, a calibrated logistic regression.

A decision per key loses at most ``cost x sum |P_hat - P|``, so calibration is what counts here, not ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from parbake.numeric.logistic import ridge_logistic, sigmoid
from parbake.planner.forecast.demand_features import FIRST_COLUMNS, Habits
from parbake.planner.forecast.request_log import Codes
from parbake.planner.forecast.windows import Windows

Floats = NDArray[np.float64]
ROWS = 200_000
RIDGE, STEPS, ENOUGH = 3.0, 30, 1e-4
LEARN_FROM, FEWEST_WINDOWS, HELD_BACK = 0.8, 8, 0.25
"""Learned from is the newest fifth of the past, as habits drift, but at least eight windows; its own newest quarter
calibrates."""
FEWEST = 30
"""Requested key-windows below which nothing is learned."""
BLOCK = 500_000


class Past(Protocol):
    """What is known: which keys were active in each window."""

    windows: Windows

    def active(self, window: int) -> Codes:
        """The keys with a request in a window."""
        ...


class Forecast(Protocol):
    """A fitted predictor."""

    def p(self, keys: Codes, window: int) -> Floats:
        """The probability of at least one request in a window (keys,); ``window`` never goes back."""
        ...


class Predictor(Protocol):
    """Learns from the windows before ``until``, and from nothing else."""

    def fit(self, past: Past, until: int) -> Forecast:
        """Return what predicts the windows from ``until`` on."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """Logistic regression on standardised columns, with a correction of its level and spread learned later."""

    mean: Floats
    scale: Floats
    weights: Floats
    shift: float = 0.0
    stretch: float = 1.0

    def logit(self, columns: NDArray[np.float32]) -> Floats:
        """Log-odds, (rows,)."""
        plain = ((columns - self.mean) / self.scale) @ self.weights[1:] + self.weights[0]
        found: Floats = self.shift + self.stretch * plain
        return found


def fit_linear(columns: NDArray[np.float32], hit: NDArray[np.bool_], *, ridge: float = RIDGE) -> Linear:
    """Fit by Newton's method with an L2 penalty on all but the intercept (McCullagh & Nelder 1989, section 4.4)."""
    mean = columns.mean(axis=0, dtype=np.float64)
    scale = np.maximum(columns.std(axis=0, dtype=np.float64), 1e-6)
    design = np.empty((len(columns), columns.shape[1] + 1))
    design[:, 0] = 1.0
    design[:, 1:] = (columns - mean) / scale
    return Linear(mean, scale, _newton(design, hit.astype(np.float64), ridge))


def _newton(design: Floats, target: Floats, ridge: float) -> Floats:
    start, penalty = np.zeros(design.shape[1]), np.full(design.shape[1], ridge)
    rate = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    start[0], penalty[0] = np.log(rate / (1 - rate)), 1e-6
    weights = np.ones(len(target))
    return ridge_logistic(design, target, weights=weights, penalty=penalty, start=start, steps=STEPS, enough=ENOUGH)


def calibration_error(chance: Floats, hit: NDArray[np.bool_], *, bins: int = 20) -> float:
    """Expected calibration error in bins of equal counts (Naeini et al. 2015): mean |predicted - observed|."""
    parts = np.array_split(np.argsort(chance, kind="stable"), bins)
    gaps = [abs(float(chance[part].mean() - hit[part].mean())) * len(part) for part in parts if len(part)]
    return sum(gaps) / max(1, len(chance))


@dataclass(frozen=True, slots=True)
class Logistic:
    """The default predictor: recency, decayed counts, frequency, age, time of day and weekday."""

    seed: int = 0

    def fit(self, past: Past, until: int) -> Forecast:
        """Learn from the windows before ``until``."""
        habits = Habits(past.windows)
        usable = [w for w in range(1, until) if past.windows.usable[w]]
        chosen = set(usable[min(int(len(usable) * LEARN_FROM), max(0, len(usable) - FEWEST_WINDOWS)) :])
        sample = _Sample(past, np.random.default_rng(self.seed), ROWS // max(1, len(chosen)))
        for window in range(until):
            if window in chosen:
                sample.take(habits, window)
            if past.windows.usable[window]:
                habits.observe(window, past.active(window))
        columns, hit, when = sample.all()
        if int(hit.sum()) < FEWEST:
            return FittedModel(past, habits, None, float(hit.mean()) if len(hit) else 0.0)
        return FittedModel(past, habits, _calibrated(columns, hit, when), float(hit.mean()))


def _calibrated(columns: NDArray[np.float32], hit: NDArray[np.bool_], when: NDArray[np.int32]) -> Linear:
    """Fit on the older windows, learn level and spread on the newer ones (Platt 1999), keep both."""
    cut = np.quantile(when, 1 - HELD_BACK)
    older, newer = when < cut, when >= cut
    if min(int(hit[older].sum()), int(hit[newer].sum())) < FEWEST:
        return fit_linear(columns, hit)
    early = fit_linear(columns[older], hit[older])
    logit = early.logit(columns[newer])
    design = np.stack([np.ones(len(logit)), logit], axis=1)
    shift, stretch = _toward_identity(design, hit[newer])
    whole = fit_linear(columns, hit)
    return Linear(whole.mean, whole.scale, whole.weights, shift, stretch)


def _toward_identity(design: Floats, hit: NDArray[np.bool_]) -> tuple[float, float]:
    """Shift and stretch of log-odds, held near none by a penalty, as a small sample would tilt them."""
    target, weights = hit.astype(np.float64), np.asarray([0.0, 1.0])
    prior, penalty = weights.copy(), np.asarray([20.0, 100.0])
    for _ in range(STEPS):
        chance = sigmoid(design @ weights)
        gradient = design.T @ (target - chance) - penalty * (weights - prior)
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        weights = weights + np.linalg.solve(curvature, gradient)
    return float(weights[0]), float(weights[1])


class _Sample:
    """Rows to learn from: some of the known keys of each chosen window, and whether they were active in it."""

    def __init__(self, past: Past, rng: np.random.Generator, per_window: int) -> None:
        self._past, self._rng, self._per_window = past, rng, per_window
        self._columns: list[NDArray[np.float32]] = []
        self._hits: list[NDArray[np.bool_]] = []
        self._when: list[NDArray[np.int32]] = []

    def take(self, habits: Habits, window: int) -> None:
        """Draw from a window, as things stood before it."""
        keys = np.flatnonzero(self._past.windows.known <= window).astype(np.int32)
        if len(keys) > self._per_window:
            keys = np.unique(self._rng.choice(keys, self._per_window))
        if not len(keys):
            return
        self._columns.append(habits.columns(keys, window))
        self._hits.append(np.isin(keys, self._past.active(window)))
        self._when.append(np.full(len(keys), window, dtype=np.int32))

    def all(self) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
        """Columns (rows, columns), hits (rows,), windows (rows,)."""
        if not self._hits:
            return np.empty((0, FIRST_COLUMNS), np.float32), np.empty(0, np.bool_), np.empty(0, np.int32)
        return np.concatenate(self._columns), np.concatenate(self._hits), np.concatenate(self._when)


class FittedModel:
    """A fitted model with the habits it looks at; it learns the windows that have passed before it predicts one."""

    def __init__(self, past: Past, habits: Habits, model: Linear | None, rate: float) -> None:
        """``model`` is none where too little was seen; the overall rate is predicted then."""
        self._past, self._habits, self._model, self._rate = past, habits, model, rate

    def p(self, keys: Codes, window: int) -> Floats:
        """The probability of a request in a window, from what happened before it."""
        for passed in range(self._habits.next_window, window):
            if self._past.windows.usable[passed]:
                self._habits.observe(passed, self._past.active(passed))
        if self._model is None:
            return np.full(len(keys), self._rate)
        found = np.empty(len(keys))
        strange = np.flatnonzero(self._habits.strangers(keys))
        if len(strange):
            found[strange] = self._predicted(self._model, keys[strange[:1]], window)[0]
        rest = np.flatnonzero(~self._habits.strangers(keys))
        for start in range(0, len(rest), BLOCK):
            part = rest[start : start + BLOCK]
            found[part] = self._predicted(self._model, keys[part], window)
        return found

    def _predicted(self, model: Linear, keys: Codes, window: int) -> Floats:
        return sigmoid(model.logit(self._habits.columns(keys, window)))
