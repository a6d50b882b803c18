"""What came of units, and what comes next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import GaveUp, Unwritable
from .policy import Done, Failure, Policy, may_pass


class Judge:
    """Notes what is done, and decides of what is not: again, failed for good, or the end of the run."""

    def __init__(
        self, policy: Policy, done: Callable[[Sequence[Done]], None], failed: Callable[[Failure], None]
    ) -> None:
        self.policy, self._done, self._failed = policy, done, failed
        self._attempts: Counter[Any] = Counter()
        self._in_a_row = 0

    def done(self, units: Sequence[Done]) -> None:
        """Note units that are done."""
        if units:
            self._done(units)
            self._in_a_row = 0
            for unit in units:
                self._attempts.pop(unit.unit, None)

    def again(self, unit: Any, error: BaseException, **facts: Any) -> bool:
        """Whether a unit that raised is to be tried once more; if not it is noted."""
        if isinstance(error, Unwritable) or not isinstance(error, Exception):
            raise error
        if self.policy.on_error == "raise":
            raise error.with_traceback(facts.get("traceback") or error.__traceback__)
        self._attempts[unit] += 1
        attempts = self._attempts[unit]
        if may_pass(error) and attempts <= self.policy.retries and facts.get("kind", "raised") == "raised":
            return True
        del self._attempts[unit]
        self.fail(Failure.of(unit, error, attempts=attempts, **facts))
        return False

    def fail(self, failure: Failure) -> None:
        """Note a failure for good; too many in a row end the run."""
        self._failed(failure)
        self._in_a_row += 1
        if self._in_a_row >= self.policy.most_failures:
            raise GaveUp(
                f"{self._in_a_row} units in a row failed, the last with {failure.type}: {failure.message}; what is "
                "broken seems common to all. Mend it, then run again with the failed ones (retry_failed=True)"
            ) from failure.error
