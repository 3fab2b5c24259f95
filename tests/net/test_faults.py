"""Every fault, at every place of a transaction, for every kind of request and answer, and of links.

What must happen is said by the model in `faults`; the players compare it with what servers and the client saw
and with the access log. ``SSLBROKER_FAULTS=GET`` plays only the cases whose description has that in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import product, repeat

from ..memory import BrokerCase
from .faults import (
    FORMS,
    GOOD,
    OF_LINK,
    OF_TLS,
    REQUESTS,
    STATUSES,
    STATUSES_IN_PART,
    TAIL,
    TRIES,
    UNPROVABLE,
    Act,
    Case,
    Fault,
    Form,
    Place,
    plays,
)
from .players import Playing
from .soak import content_of
from .spoken import Message, answer_to

ONLY = os.environ.get("SSLBROKER_FAULTS", "")
SHOWN = 12  # cases that came out wrong; then no more are played

LENGTH = Form("length")
OF_SERVERS = (Fault.FIN, Fault.RUDE, Fault.RESET, Fault.SILENCE, Fault.GARBAGE)
BEFORE = tuple(place for place in Place if place < Place.BEFORE_CONTENT)
BEGUN = (Place.BEFORE_CONTENT, Place.IN_CONTENT, Place.BEFORE_END)
SOME = ("GET", "PUT", "POST", "POST with a key")
RESUMED = tuple(asked for asked in REQUESTS if asked.method == b"GET")
RESUMABLE = (*(Form(framing) for framing in ("length", "chunked", "close")), Form("length", "dated"))


def of_links(act: Act) -> Iterator[Case]:
    """It fails, on links of all kinds, and another does what it should; or all fail alike."""
    for asked, secure, warm in product(REQUESTS, (False, True), (False, True)):
        some = asked.name in SOME
        if plays(act, asked, LENGTH, secure) and (some or not (secure and warm)):
            yield Case(asked, LENGTH, (act, GOOD), secure, warm)
            if not warm and (some or not secure):
                yield Case(asked, LENGTH, (act,) * TRIES, secure)


class Faults(Playing):
    def all(self, cases: Iterable[Case], at_least: int) -> None:
        """They come out as the model says; and there are so many, that none is lost by a mistake here."""
        count = 0
        wrong: list[str] = []
        for case in cases:
            if ONLY in str(case) and len(wrong) < SHOWN:
                count += 1
                try:
                    self.play(case)
                except AssertionError as error:
                    self.flushLoggedErrors()
                    wrong.append(str(error))
        self.assertFalse(wrong, f"{len(wrong)} of {count} cases:\n" + "\n".join(wrong[:SHOWN]))
        if not ONLY:
            self.assertGreaterEqual(count, at_least)

    def test_before_there_is_a_link(self) -> None:
        self.all((case for fault in OF_LINK for case in of_links(Act(fault))), 200)

    def test_while_no_server_can_be_reached(self) -> None:
        self.all(
            (
                Case(asked, LENGTH, acts, secure, back=back)
                for asked, secure, back in product(REQUESTS, (False, True), (1, 2, 3))
                for acts in ((Act(Fault.REFUSED),) * TRIES, (Act(Fault.UNREACHABLE),) * TRIES)
            ),
            100,
        )

    def test_before_the_answer_began(self) -> None:
        faults = product((*OF_SERVERS, *STATUSES, *STATUSES_IN_PART), BEFORE)
        self.all((case for fault, place in faults for case in of_links(Act(fault, place))), 1500)

    def test_what_is_stored_no_more_is_not_sent_again(self) -> None:
        faults = product((Fault.REFUSED, Fault.RESET, Fault.SILENCE, Fault.STATUS_500), BEFORE)
        self.all(
            (
                Case(asked, LENGTH, (Act(fault, place), GOOD), share=2000)
                for asked, (fault, place) in product(REQUESTS, faults)
                if asked.framing and plays(Act(fault, place), asked, LENGTH, False)
            ),
            100,
        )

    def test_after_the_answer_began(self) -> None:
        self.all(
            (
                Case(asked, form, (Act(fault, place), GOOD, GOOD), secure)
                for asked, form, fault, place, secure in product(
                    REQUESTS, FORMS, OF_SERVERS, BEGUN, (False, True)
                )
                if plays(Act(fault, place), asked, form, secure)
                and (asked.method == b"GET" or form.validator == "strong")
            ),
            1000,
        )

    def test_in_place_of_the_rest(self) -> None:
        """Whatever a second server does that is asked for the rest, and a third one after it."""
        broken = [Act(Fault.RESET, place) for place in BEGUN] + [Act(Fault.SILENCE, Place.IN_CONTENT)]
        rest = [Act(fault, Place.AFTER_END) for fault in (Fault.NONE, Fault.FROM_BEGINNING, *UNPROVABLE)]
        rest += [Act(fault) for fault in (*OF_LINK, *OF_SERVERS, *STATUSES)]
        rest += [Act(fault, place) for fault, place in product(OF_SERVERS, (Place.IN_HEAD, *BEGUN))]
        cases = (
            Case(asked, form, (first, second, third), number % 3 == 0 or second.fault in OF_TLS)
            for number, (asked, form, second, first) in enumerate(product(RESUMED, RESUMABLE, rest, broken))
            for third in ((GOOD, second)[number % 5 % 2],)
            if not (second.fault is Fault.FROM_BEGINNING and asked.part)  # it may serve, or not
            and not (second.fault is Fault.WEAK and form.validator == "dated")  # it says the same
            and not (second.fault is Fault.LYING and first.place is Place.BEFORE_CONTENT)  # to nobody
        )
        self.all((case for case in cases if all(map(self.plays, repeat(case), case.acts))), 1000)

    def plays(self, case: Case, act: Act) -> bool:
        """As `plays`; and who is asked for a part says how long it is, so that no end comes early unseen."""
        if act.fault is Fault.FIN and act.place is Place.IN_CONTENT and act is not case.acts[0]:
            return True
        return plays(act, case.asked, case.form, case.secure)

    def test_after_the_answers_end(self) -> None:
        self.all(
            (
                Case(asked, form, (Act(fault, Place.AFTER_END),), secure)
                for asked, form, fault, secure in product(REQUESTS, FORMS, OF_SERVERS, (False, True))
                if plays(Act(fault, Place.AFTER_END), asked, form, secure)
                and (asked.method == b"GET" or form.validator == "strong")
            ),
            300,
        )

    def test_one_after_the_other(self) -> None:
        """Whatever two servers do, one after the other; and then a third."""
        left_out = (Fault.TLS_BROKEN, Fault.NO_TLS, Fault.RUDE)  # as UNVERIFIED, and as FIN
        done = [Act(fault) for fault in (*OF_LINK, *OF_SERVERS, *STATUSES) if fault not in left_out]
        done += (
            Act(Fault.STATUS_500, Place.IN_CONTENT_OF_REQUEST),
            Act(Fault.STATUS_CUT),
            Act(Fault.STATUS_STALLED),
        )
        asked = [one for one in REQUESTS if one.name in SOME]
        chains: list[tuple[Act, ...]] = [(first, second, GOOD) for first, second in product(done, done)]
        chains += product((Act(Fault.REFUSED), Act(Fault.STATUS_500), Act(Fault.FIN)), repeat=3)
        half = [Act(fault) for fault in (*STATUSES_IN_PART, Fault.REFUSED)]
        whole = (Act(Fault.STATUS_500), Act(Fault.STATUS_500, Place.IN_CONTENT_OF_REQUEST))
        in_part = product((*half, *whole), (*half, *whole))
        chains += [(first, second, Act(Fault.FIN)) for first, second in in_part]
        chains += [(first, second, Act(Fault.STATUS_503)) for first, second in product(done, done)]
        self.all(
            (
                Case(one, LENGTH, chain, secure)
                for number, (one, chain) in enumerate(product(asked, chains))
                for secure in (number % 3 == 0 or any(act.fault in OF_TLS for act in chain),)
                if all(plays(act, one, LENGTH, secure) for act in chain)
            ),
            1000,
        )


class Tries(BrokerCase):
    """Where they go, by whatever law, and when they are counted anew."""

    def test_each_is_on_another_server(self) -> None:
        for balance, place in product(("hash", "least-time", "least-connections", "round-robin"), range(8)):
            with self.subTest(balance=balance, place=place):
                self.setUp()
                self.start(balance=balance)
                client = self.client(peer=f"192.0.2.{place}")
                client.sends(b"GET /7 HTTP/1.1\r\nHost: shop\r\n\r\n")
                for _ in range(TRIES):
                    (link,) = [server.links.popleft() for server in self.servers if server.links]
                    link.resets()
                self.assertEqual(sorted(number for number, _ in self.tries()), ["1", "2", "3"])
                self.tearDown()
                del self.broker

    def test_one_answer_by_many_servers(self) -> None:
        for each, tries in ((70_000, 8), (50_000, TRIES)):
            with self.subTest(each=each):
                got, attempts = self.brought(content_of(7, 500_000), each)
                self.assertEqual(len(attempts), tries)
                whole = tries > TRIES
                self.assertEqual(got.whole, whole)
                self.assertTrue(content_of(7, 500_000).startswith(got.content))
                self.assertEqual(len(got.content), 500_000 if whole else each * TRIES)
                self.assertEqual({one.get("next") for one in attempts[:-1]}, {"resume"})
                self.assertEqual(attempts[-1].get("next"), None if whole else "tries")

    def brought(self, content: bytes, each: int) -> tuple[Message, list[dict[str, str]]]:
        """What a client got, of which each server brings so much; and the tries as the log shows them."""
        self.setUp()
        self.start()
        client = self.client()
        client.sends(b"GET /7 HTTP/1.1\r\nHost: shop\r\n\r\n")
        while links := [server.links.popleft() for server in self.servers if server.links]:
            (link,) = links
            head, pieces, end = answer_to(Message(link.received), LENGTH, content=content)
            has = TAIL if b"Range" in link.received else 0  # of what comes again
            link.sends(head + (b"".join(pieces) + end)[: has + each])
            if link.lost is None:
                link.resets()
        got = Message(client.received, REQUESTS[0])
        attempts = self.records.all[-1]["tries"]
        self.tearDown()
        del self.broker
        return got, attempts
