"""A classifier is believed where it gives what it was asked for; anything else ends a transaction by 502."""

from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from sslbroker.interfaces import ICascades, IResponseClassifier, IRests, IUndone
from sslbroker.net.judging import Judge

from ..memory import BrokerCase

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NOT_NOW = b"HTTP/1.1 503 Not now\r\nContent-Length: 2\r\n\r\nno"


@implementer(IResponseClassifier, IUndone)
class Given:
    """A classifier that gives what it is told to."""

    def __init__(self, failing: Any = False, status: Any = 200, nothing_done: Any = False) -> None:
        self._failing, self._status, self._nothing_done = failing, status, nothing_done

    def failing(self, response: Any) -> Any:
        return self._failing

    def status(self, response: Any) -> Any:
        return self._status

    def nothing_done(self, response: Any) -> Any:
        return self._nothing_done


@implementer(IRests)
class Resting(Given):
    """One whose failing answers ask for rest."""

    def __init__(self, rest: Any, failing: bool = True) -> None:
        super().__init__(failing, 503)
        self._rest = rest

    def rest(self, response: Any) -> Any:
        return self._rest


@implementer(ICascades)
class Told:
    def tried(self, response: Any) -> int:
        return int(response.tries)

    def tell_tries(self, response: Any, tries: int) -> None: ...

    def looped(self, response: Any) -> bool:
        return bool(response.looped)


class InTheBroker(BrokerCase):
    def asked(self, given: Given, request: bytes = GET, answer: bytes = OK) -> bytes:
        self.start(servers=2)
        self.pool.judge = Judge(given, None, ())
        self.one = self.client()
        self.one.sends(request)
        self.servers[0].link().sends(answer)
        self.settle()
        return self.one.takes()

    def assert_a_mistake(self, answer: bytes, said: str) -> None:
        self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer)
        (mistake,) = self.flushLoggedErrors(TypeError)
        self.assertIn(said, mistake.getErrorMessage())
        self.assertEqual((self.end, self.tries()), ("watch:internal", [("1", "internal")]))
        self.assertEqual(self.pool.members[0].outstanding, 0)

    def test_an_answer_that_comes_later_makes_no_answer_a_failure(self) -> None:
        answer = self.asked(Given(failing=succeed(False)))
        self.assert_a_mistake(answer, "the classifier's failing gave <Deferred")

    def test_no_request_is_repeated_for_it(self) -> None:
        answer = self.asked(Given(failing=True, nothing_done=succeed(False)), POST, NOT_NOW)
        self.assert_a_mistake(answer, "the classifier's nothing_done gave <Deferred")

    def test_a_status_that_cannot_be_counted_loses_no_record(self) -> None:
        for status in ("200", None, 200.5):
            answer = self.asked(Given(status=status))
            self.assert_a_mistake(answer, f"the classifier's status gave {status!r}, expected an integer")
            self.one.sends(GET)  # the connection goes on
            self.servers[1].link().sends(OK)
            self.flushLoggedErrors(TypeError)
            self.assertEqual(len(self.records.all), 2)
            self.tearDown()
            self.setUp()

    def test_a_rest_that_is_no_number_of_seconds(self) -> None:
        for rest in ("5", None, True, float("nan"), float("inf")):
            answer = self.asked(Resting(rest), GET, NOT_NOW)
            self.assert_a_mistake(answer, f"the classifier's rest gave {rest!r}, expected a number")
            self.tearDown()
            self.setUp()


class Judged(SynchronousTestCase):
    def test_who_does_not_know_of_rest_gives_none(self) -> None:
        self.assertEqual(Judge(Given(), None, ()).rest(object()), 0.0)
        self.assertEqual(Judge(Resting(7), None, ()).rest(object()), 7)

    def test_a_status_of_the_brokers_own_answer_never_raises(self) -> None:
        self.assertEqual(Judge(Given(status=204), None, ()).status_told(object()), 204)
        self.assertEqual(Judge(Given(status="204"), None, ()).status_told(object()), 0)

    def test_what_a_failing_answer_is(self) -> None:
        judge = Judge(Given(nothing_done=True), None, ())
        counted, uncounted = judge.failure(object(), 503), judge.failure(object(), 0)
        self.assertEqual((counted.detail, counted.nothing_done), ("status 503", True))
        self.assertEqual(uncounted.detail, "a failing answer")

    def test_a_request_that_goes_in_a_circle_is_no_servers_to_mend(self) -> None:
        judge = Judge(Given(), Told(), ())
        self.assertFalse(judge.failure(SimpleNamespace(looped=False), 508).final)
        self.assertTrue(judge.failure(SimpleNamespace(looped=True), 508).final)

    def test_only_brokers_that_are_believed_tell_how_often_they_tried(self) -> None:
        answer = SimpleNamespace(tries=3)
        judge = Judge(Given(), Told(), (ip_network("10.1.0.0/24"),))
        self.assertEqual(judge.tried_elsewhere(answer, "10.1.0.7"), 2)
        self.assertEqual(judge.tried_elsewhere(answer, "10.2.0.7"), 0)
        self.assertEqual(judge.tried_elsewhere(SimpleNamespace(tries=0), "10.1.0.7"), 0)
        self.assertEqual(Judge(Given(), Told(), ()).tried_elsewhere(answer, "10.1.0.7"), 0)
