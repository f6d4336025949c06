"""The README's main job."""

import pytest

from sockserve import SyncStrategy, UnixDatagramTransport, demo


def test_the_demo_answers_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    """Every combination in its table, each with a time, and success."""
    assert demo.main() == 0
    text = capsys.readouterr().out
    combinations = len(demo.TRANSPORTS) * len(demo.STRATEGIES)
    assert text.count(" us") == combinations
    assert f"{combinations} of {combinations}" in text


def test_the_demo_fails_when_one_does_not_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong answer, a handler that fails, a transport that cannot listen: each in the table and the status."""

    class Whisper(demo.Shout):
        def handle(self) -> None:
            if isinstance(self.request, tuple):
                self.request[1].sendto(self.request[0].lower(), self.client_address)
            else:
                raise LookupError("on purpose")

    monkeypatch.setattr(demo, "Shout", Whisper)
    monkeypatch.setattr(demo, "STRATEGIES", {"sync": SyncStrategy})
    monkeypatch.setattr(
        demo,
        "TRANSPORTS",
        {**demo.TRANSPORTS, "Unix datagram": lambda f: UnixDatagramTransport(f / "no" / "s")},
    )
    assert demo.main() == 1
    text = capsys.readouterr().out
    assert "0 of 4" in text
    assert "answered b'question 0" in text
    assert "make it first" in text
