"""The parent's end of a pipe: what a worker says is heard with the worker that said it."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.core.members import TRANSACTIONS
from sslbroker.workers.leases import Recall
from sslbroker.workers.messages import Figures, Leave

from .wire import SERVER, Wire


class Hearing(SynchronousTestCase):
    def setUp(self) -> None:
        self.wire = Wire()
        self.heard = self.wire.parent.heard

    def test_rows_of_figures_take_the_place_of_those_before(self) -> None:
        for rows in (b"[[0, 1], [3, 1]]", b"[[3, 2]]"):
            self.wire.worker.tell(Figures, rows=rows)
        self.wire.flush()
        self.assertEqual(self.wire.pipe.account.rows, {0: 1, 3: 2})

    def test_who_comes_leaves_and_is_gone(self) -> None:
        self.wire.worker.tell(Leave)
        self.wire.flush()
        self.wire.pipe.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.heard, ["connected", "leaves", "gone"])

    def test_one_that_does_not_answer_a_recall_any_more_is_no_mistake(self) -> None:
        self.wire.pipe.lend(Recall(1, ("shop", SERVER, TRANSACTIONS), 1))
        self.wire.pipe.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.heard, ["connected", "gone"])

    def test_it_can_be_cut(self) -> None:
        self.wire.pipe.cut()
        self.wire.flush()
        self.assertEqual(self.heard[-1], "gone")
