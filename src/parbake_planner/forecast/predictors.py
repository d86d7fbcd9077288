"""How likely each key is to be requested in a window: the port, and a calibrated logistic regression as the default.

A decision per key loses at most ``cost x sum |P_hat - P|``. Calibration is therefore what counts here, not ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from parbake.values.logistic import Logistic, newton
from parbake_planner.forecast.demand_features import FIRST_COLUMNS, Habits
from parbake_planner.forecast.request_log import Codes
from parbake_planner.forecast.windows import Windows

Floats = NDArray[np.float64]
ROWS = 200_000
RIDGE, ENOUGH = 3.0, 1e-4
_LEARN_FROM, _FEWEST_WINDOWS, _HELD_BACK = 0.8, 8, 0.25
"""A model learns from the newest fifth of the past, as habits drift, but from at least eight windows. The newest
quarter of those calibrates it."""
FEWEST = 30
"""The least number of pairs of a window and a key requested in it that a model learns from."""
BLOCK = 500_000


class Past(Protocol):
    """The known requests: which keys were active in each window."""

    windows: Windows

    def active(self, window: int) -> Codes:
        """The keys with at least one request in a window."""
        ...


class Forecast(Protocol):
    """A fitted predictor."""

    def p(self, keys: Codes, window: int) -> Floats:
        """Predict how likely keys are to be requested in a window.

        Args:
            keys: The keys, as positions, shape (keys,).
            window: The number of the window, not lower than in the previous call.

        Returns:
            The probability of at least one request, shape (keys,).
        """
        ...


class Predictor(Protocol):
    """Learn from the windows before ``until``, and from nothing else."""

    def fit(self, past: Past, until: int) -> Forecast:
        """Fit a model.

        Args:
            past: Which keys were active in each window.
            until: The number of the first window that must not be used.

        Returns:
            A predictor for the windows from ``until`` on.
        """
        ...


def fit_demand(columns: NDArray[np.float32], hit: NDArray[np.bool_]) -> Logistic:
    """Fit a demand model that starts from the overall rate, because requests are rare.

    Args:
        columns: Features of a key before a window, shape (rows, columns).
        hit: Whether the key was requested in the window, shape (rows,).

    Returns:
        The model on the raw columns.
    """
    rate = float(np.clip(hit.mean(), 1e-6, 1 - 1e-6))
    start = np.log(rate / (1 - rate))
    return Logistic.fit(columns, hit, ridge=RIDGE, intercept_ridge=1e-6, start=start, enough=ENOUGH)


def calibration_error(chance: Floats, hit: NDArray[np.bool_], *, bins: int = 20) -> float:
    """Compute the expected calibration error in bins of equal counts (Naeini et al. 2015).

    Args:
        chance: The predicted probabilities, shape (rows,).
        hit: Whether the request came, shape (rows,).
        bins: The number of bins.

    Returns:
        The mean of |predicted - observed|, a probability (0 to 1).
    """
    parts = np.array_split(np.argsort(chance, kind="stable"), bins)
    gaps = [abs(float(chance[part].mean() - hit[part].mean())) * len(part) for part in parts if len(part)]
    return sum(gaps) / max(1, len(chance))


@dataclass(frozen=True, slots=True)
class HabitPredictor:
    """The default predictor: recency, decayed counts, frequency, age, time of day and weekday; see :class:`Predictor`.

    Attributes:
        seed: The seed of the draw of the rows to learn from.
    """

    seed: int = 0

    def fit(self, past: Past, until: int) -> Forecast:
        habits = Habits(past.windows)
        usable = [w for w in range(1, until) if past.windows.usable[w]]
        chosen = set(usable[min(int(len(usable) * _LEARN_FROM), max(0, len(usable) - _FEWEST_WINDOWS)) :])
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


def _calibrated(columns: NDArray[np.float32], hit: NDArray[np.bool_], when: NDArray[np.int32]) -> Logistic:
    """Fit on all windows; level and spread of the log odds come from windows newer than a first fit (Platt 1999).

    Args:
        columns: Features of a key before a window, shape (rows, columns).
        hit: Whether the key was requested in the window, shape (rows,).
        when: The number of the window, shape (rows,).

    Returns:
        The model. It has no such correction if the older or the newer windows have too few requests.
    """
    cut = np.quantile(when, 1 - _HELD_BACK)
    older, newer = when < cut, when >= cut
    if min(int(hit[older].sum()), int(hit[newer].sum())) < FEWEST:
        return fit_demand(columns, hit)
    early = fit_demand(columns[older], hit[older])
    return fit_demand(columns, hit).adjusted(*_toward_identity(early.log_odds(columns[newer]), hit[newer]))


def _toward_identity(log_odds: Floats, hit: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit shift and stretch of log odds. A penalty holds them near 0 and 1, because a small sample would tilt them.

    Args:
        log_odds: The predictions, shape (rows,).
        hit: Whether the request came, shape (rows,).

    Returns:
        Shift and stretch.
    """
    design = np.stack([np.ones(len(log_odds)), log_odds], axis=1)
    identity, penalty = np.asarray([0.0, 1.0]), np.asarray([20.0, 100.0])
    shift, stretch = newton(design, hit, penalty=penalty, start=identity, prior=identity, enough=1e-24).tolist()
    return shift, stretch


class _Sample:
    """Rows to learn from: a sample of the known keys of each chosen window, and whether they were active in it.

    At most ``per_window`` keys are sampled from a window.
    """

    def __init__(self, past: Past, rng: np.random.Generator, per_window: int) -> None:
        self._past, self._rng, self._per_window = past, rng, per_window
        self._columns: list[NDArray[np.float32]] = []
        self._hits: list[NDArray[np.bool_]] = []
        self._when: list[NDArray[np.int32]] = []

    def take(self, habits: Habits, window: int) -> None:
        """Sample rows from a window.

        Args:
            habits: The state before the window.
            window: The number of the window.
        """
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
    """A fitted model and the features it uses; see :class:`Forecast`.

    Before it predicts a window, it observes the windows that have passed.
    """

    def __init__(self, past: Past, habits: Habits, model: Logistic | None, rate: float) -> None:
        """Create the predictor.

        Args:
            past: Which keys were active in each window.
            habits: The features, up to the window where the fit ended.
            model: The fitted model; ``None`` if there was too little data, and ``rate`` is then predicted for every
                key.
            rate: The overall share of keys with a request in a window.
        """
        self._past, self._habits, self._model, self._rate = past, habits, model, rate

    def p(self, keys: Codes, window: int) -> Floats:
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

    def _predicted(self, model: Logistic, keys: Codes, window: int) -> Floats:
        return model.probability(self._habits.columns(keys, window))
