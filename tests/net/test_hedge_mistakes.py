"""A plugin's mistake while two tries are under way ends their transaction, both of them, and nothing else."""

from __future__ import annotations

from typing import Any

from .test_hedge import THRESHOLD, HedgeCase
from .test_mistakes import BAD_GATEWAY, Mistake, Wrong, wrong
from .test_relay import GET, OK


def broken(part: Any, name: str) -> Any:
    """Another object with one method that raises."""
    return Wrong(part, name)


class Mistakes(HedgeCase):
    def ended(self, *outcomes: str) -> None:
        """The client has 502, the two tries came to this, and all others go on."""
        self.assertTrue(self.visitor.takes().startswith(BAD_GATEWAY))
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        self.assertEqual([outcome for _, outcome in self.tries()], list(outcomes))
        self.assertEqual([member.figures.outstanding for member in self.pool.members], [0, 0, 0])
        self.assertTrue(self.first.closed)
        self.visitor.sends(GET)
        self.servers[2].link().sends(OK)
        self.assertTrue(self.visitor.takes().endswith(b"ok"))

    def test_in_the_rules_when_the_second_request_is_sent(self) -> None:
        self.begin()
        rules, self.pool.rules = self.pool.rules, broken(self.pool.rules, "to_server")
        self.wait(THRESHOLD)
        self.pool.rules = rules
        self.ended("internal", "internal")

    def test_in_the_classifier_of_the_second_answer(self) -> None:
        for name in ("status", "failing"):
            self.hedge()
            judge = self.pool.judge
            classifier, judge.classifier = judge.classifier, broken(judge.classifier, name)
            self.second.sends(OK)
            judge.classifier = classifier
            self.ended("internal", "internal")
            self.assertTrue(self.second.closed)
            self.tearDown()
            self.setUp()

    def test_in_the_codec_of_the_second_link(self) -> None:
        self.hedge()
        (link,) = self.pool.links[self.pool.members[1]].busy
        link.codec = broken(link.codec, "receive")
        self.second.sends(OK)
        self.ended("internal", "internal")

    def test_in_the_balancer_that_is_asked_for_a_second_server(self) -> None:
        self.begin()
        law, self.pool._choosing._balancer = self.pool._choosing._balancer, broken(None, "choose")
        self.wait(THRESHOLD)
        self.pool._choosing._balancer = law
        self.assertTrue(self.visitor.takes().startswith(BAD_GATEWAY))
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        self.assertEqual(self.tries(), [("1", "internal")])

    def test_in_the_rules_for_the_answer_it_is_a_cut(self) -> None:
        self.hedge()
        rules, self.pool.rules = self.pool.rules, broken(self.pool.rules, "to_client")
        self.second.sends(OK)
        self.pool.rules = rules
        self.assertTrue(self.visitor.closed)
        self.assertEqual(self.visitor.takes(), b"")
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 1)
        self.assertEqual([outcome for _, outcome in self.tries()], ["outrun", "internal"])

    def test_a_second_mistake_while_the_first_is_answered(self) -> None:
        self.hedge()
        rules: Any = broken(self.pool.rules, "error_answer")
        rules.to_server = wrong
        judge = self.pool.judge
        classifier, judge.classifier = judge.classifier, broken(judge.classifier, "failing")
        before, self.pool.rules = self.pool.rules, rules
        self.second.sends(OK)
        self.pool.rules, judge.classifier = before, classifier
        self.assertTrue(self.visitor.closed)
        self.assertTrue(self.first.closed)
        self.assertTrue(self.second.closed)
        self.assertEqual(len(self.flushLoggedErrors(Mistake)), 2)
        self.assertEqual([outcome for _, outcome in self.tries()], ["internal", "internal"])
