"""Storage under any use: many transactions doing anything, against a model that is only the bytes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from sslbroker.core.storage import Storage, Stored
from sslbroker.outcome import Replay
from sslbroker.settings import Storage as StorageSettings


@dataclass(eq=False)
class Model:
    """What a transaction must hold: nothing but what it received, and how much of it was sent."""

    real: Stored
    received: bytes = b""
    sent: int = 0  # by this try
    reason: Replay = Replay.REPLAYABLE

    @property
    def unsent(self) -> int:
        return len(self.received) - self.sent

    @property
    def copies(self) -> int:
        return self.sent if self.reason is Replay.REPLAYABLE else 0


BYTES = st.sampled_from([b"a", b"bc" * 20, b"def" * 40, b"ghij" * 40])
SHARE, MINIMUM, MAXIMUM = 200, 32, 400


class AnyUse(RuleBasedStateMachine):
    """Transactions come, send, fail over, wait for room and go, in any order."""

    transactions = Bundle("transactions")

    @initialize(target=transactions)
    def first(self) -> Model:
        self.house = Storage(StorageSettings(MINIMUM, MINIMUM, MAXIMUM, per_transaction=SHARE))
        self.models: list[Model] = []
        self.waits: dict[Model, int] = {}  # calls that are owed
        self.lost = 0
        return self.opened()

    @rule(target=transactions)
    def open(self) -> Model:
        return self.opened()

    def opened(self) -> Model:
        model = Model(self.house.open())
        self.models.append(model)
        return model

    @rule(model=transactions, data=BYTES)
    def send(self, model: Model, data: bytes) -> None:
        self.append(model, data)
        self.take(model)

    @rule(model=transactions, data=BYTES)
    def append(self, model: Model, data: bytes) -> None:
        model.received += data
        model.real.append(data)
        self.settle()

    @rule(model=transactions)
    def take(self, model: Model) -> None:
        expected = model.received[model.sent :]
        if expected:
            self.waits.pop(model, None)
            model.sent = len(model.received)
            if model.reason is Replay.REPLAYABLE and model.sent > SHARE:
                model.reason = Replay.TOO_LARGE
                self.lost += 1
        assert b"".join(model.real.take()) == expected
        self.settle()

    @rule(model=transactions)
    def rewind(self, model: Model) -> None:
        if model.sent and model.reason is not Replay.REPLAYABLE:
            with pytest.raises(ValueError, match="cannot rewind"):
                model.real.rewind()
        else:
            model.sent = 0
            model.real.rewind()
        self.settle()

    @rule(model=transactions, reason=st.sampled_from([Replay.METHOD, Replay.RESPONSE_BEGUN]))
    def give_up(self, model: Model, reason: Replay) -> None:
        if model.reason is Replay.REPLAYABLE:
            model.reason = reason
        model.real.give_up(reason)
        self.settle()

    @precondition(lambda self: len(self.models) > 1)
    @rule(model=consumes(transactions))
    def close(self, model: Model) -> None:
        self.forget(model)
        model.real.close()
        self.settle()

    @rule(model=transactions, more=st.none() | BYTES, again=st.booleans())
    def wait(self, model: Model, more: bytes | None, again: bool) -> None:
        """Wait for room; when called, perhaps append, and perhaps wait again."""

        def called() -> None:
            assert not self.house.full
            self.waits[model] -= 1
            assert self.waits.pop(model) == 0
            self.settle()
            if more is not None:
                self.append(model, more)
                if again and self.house.full:
                    self.wait(model, None, False)

        self.waits[model] = 1
        model.real.when_room(called)

    def forget(self, model: Model) -> None:
        self.models.remove(model)
        self.waits.pop(model, None)

    def settle(self) -> None:
        """Whose copies were given up for want of room: only the largest, and not one too many."""
        total = sum(model.unsent + model.copies for model in self.models)
        gone = [
            model
            for model in self.models
            if model.copies
            and model.real.replay is Replay.STORAGE_FULL
            and model.real.replay is not model.reason
        ]
        sizes = [model.copies for model in gone]
        for model in gone:
            model.reason = Replay.STORAGE_FULL
        left = [model.copies for model in self.models]
        self.lost += len(gone)
        if gone:
            assert min(sizes) >= max(left)
            assert total - sum(sizes) + min(sizes) > MAXIMUM
        assert total - sum(sizes) <= MAXIMUM or not any(left)

    @invariant()
    def every_byte_is_counted_once(self) -> None:
        figures = self.house.figures
        for model in self.models:
            real = model.real
            assert (real.received, real.unsent_size, real.replay_size, real.replay) == (
                len(model.received),
                model.unsent,
                model.copies,
                model.reason,
            )
        assert figures.unsent == sum(model.unsent for model in self.models)
        assert figures.replay == sum(model.copies for model in self.models)
        assert figures.given_up == self.lost

    @invariant()
    def the_size_fits_the_use(self) -> None:
        size, used = self.house.figures.size, self.house.used
        assert MINIMUM <= size <= MAXIMUM
        assert used <= 0.95 * size or size == MAXIMUM
        assert used >= 0.40 * size or size == MINIMUM

    @invariant()
    def nobody_waits_while_there_is_room(self) -> None:
        assert self.house.full or not self.waits

    def teardown(self) -> None:
        for model in list(getattr(self, "models", [])):
            self.close(model)
        if hasattr(self, "house"):
            assert self.house.used == 0
            assert not self.waits
            assert self.house.figures.size == MINIMUM


TestAnyUse = AnyUse.TestCase
TestAnyUse.settings = hypothesis_settings(max_examples=80, stateful_step_count=40, deadline=None)
