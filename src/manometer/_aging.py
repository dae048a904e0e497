"""How stale what a cache answers is, from its refreshes alone: nothing is computed for it."""

from __future__ import annotations

from math import exp, expm1, log2, sqrt
from typing import Final, final

_PER_OCTAVE: Final = 4
_STEPS: Final = 60
_SHORTEST_NS: Final = 1_000


def _place(age_ns: int) -> int:
    return int(log2(max(_SHORTEST_NS, age_ns)) * _PER_OCTAVE)


def _age(place: int) -> float:
    return float(2.0 ** ((place + 0.5) / _PER_OCTAVE))


@final
class Aging:
    """Whether a value had changed when it was stored again, by its age then; and how old values were when they were used.

    Bounded by the range of ages: four bins an octave. One owner.

    Attributes:
        refreshes: Values that were stored again after they had gone.
        changed: Of those, the ones that had become another.
        compared: Answers that those values had given.
    """

    __slots__ = ("_ages", "_changed", "_doubtful", "_same", "changed", "compared", "hits", "refreshes")

    def __init__(self) -> None:
        self.refreshes = self.changed = self.compared = self.hits = 0
        self._same: dict[int, int] = {}
        self._changed: dict[int, int] = {}
        self._doubtful: dict[tuple[int, int], int] = {}  # age at the end, mean age of its answers -> answers
        self._ages: dict[int, int] = {}

    def refreshed(self, age_ns: int, changed: bool, answers: int, mean_ns: int) -> None:
        """Note that a value was replaced after it had gone; 0.7 us.

        Args:
            age_ns: Its age then.
            changed: It was replaced by another one.
            answers: How often it had been the answer.
            mean_ns: At which age, on average.
        """
        self.refreshes += 1
        self.changed += changed
        self.compared += answers
        bins = self._changed if changed else self._same
        place = _place(age_ns)
        bins[place] = bins.get(place, 0) + 1
        if changed and answers:
            pair = place, _place(mean_ns)
            self._doubtful[pair] = self._doubtful.get(pair, 0) + answers

    def used(self, age_ns: int) -> None:
        """Note that a value of this age was the answer; 0.5 us."""
        self.hits += 1
        place = _place(age_ns)
        self._ages[place] = self._ages.get(place, 0) + 1

    def rate(self) -> float:
        """Return how often a value changes, in changes a nanosecond: the likeliest one for what was seen."""
        if not self.changed:
            return 0.0
        low, high = 1e-19, 1e-2
        for _ in range(_STEPS):
            rate = sqrt(low * high)
            if self._slope(rate) > 0:
                low = rate
            else:
                high = rate
        return sqrt(low * high)

    def _slope(self, rate: float) -> float:
        slope = -sum(count * _age(place) for place, count in self._same.items())
        for place, count in self._changed.items():
            age = _age(place)
            if rate * age < 700:
                slope += count * age * exp(-rate * age) / -expm1(-rate * age)
        return slope

    def stale_share(self) -> float:
        """Return the share of answers that were out of date, about.

        A value that had changed by its end was right for a part of its life: an answer at an age is
        stale as likely as the first change came before, for values that change as often as these.
        """
        rate = self.rate()
        if not self.compared or not rate:
            return 0.0
        stale = 0.0
        for (end, mean), answers in self._doubtful.items():
            life, age = _age(end), min(_age(mean), _age(end))
            stale += answers * expm1(-min(700.0, rate * age)) / expm1(-min(700.0, rate * life))
        return stale / self.compared

    def oldest_ns(self, share: float = 0.95) -> int:
        """Return the age that *share* of the answers did not exceed, in nanoseconds."""
        left = share * self.hits
        for place in sorted(self._ages):
            left -= self._ages[place]
            if left <= 0:
                return int(_age(place))
        return 0
