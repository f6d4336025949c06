"""Handlers of messages without a server: what goes in, what comes out, when, and what is held meanwhile."""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockserve import (
    Chunks,
    Delimited,
    IncompleteMessage,
    LengthPrefixed,
    Lines,
    MessageError,
    MessageHandler,
    MessageTooLong,
    ServerStateError,
)
from sockserve.abc import Conversation, Framing, Reply
from sockserve.messages import MessageClient
from sockserve.messages._conversation import GATHERED, MessageConversation
from sockserve.messages._manner import Manner
from test_framing import Netstrings, cut


class Upper(MessageHandler):
    framing = Lines(max_length=100)

    def respond(self, message: bytes) -> bytes:
        return message.upper()


class Carrier:
    """The connection of a conversation that a test drives."""

    def __init__(self) -> None:
        self.errors: list[MessageError] = []
        self.ended = 0
        self.delivered: list[bytes] = []

    def report(self, error: MessageError, /) -> None:
        self.errors.append(error)

    def end_input(self) -> None:
        self.ended += 1

    def ends_alone(self, error: BaseException, /) -> bool:
        return not isinstance(error, KeyboardInterrupt)

    def deliver(self, data: bytes) -> bool:
        self.delivered.append(data)
        return True


def answering(respond: Callable[[Any, bytes], object], framing: Framing = Lines(), **more: Any) -> Any:  # noqa: B008
    """Make a handler class of a function."""
    return type("Answering", (MessageHandler,), {"framing": framing, "respond": respond, **more})


def conversing(kind: Any) -> tuple[MessageConversation, Carrier]:
    """Make a conversation, connected."""
    carrier = Carrier()
    conversation = MessageConversation(kind(None, ("peer", 1), None), Manner.of(kind.framing), carrier)
    conversation.connect(carrier.deliver)
    return conversation, carrier


def everything(conversation: Conversation, data: bytes) -> list[bytes]:
    """Let the peer send *data* and read all; return the pieces."""
    pieces = [conversation.receive(data)]
    while conversation.pending:
        pieces.append(conversation.more())
    return [piece for piece in pieces if piece]


# The client for tests.


def test_a_handler_is_tried_without_a_server() -> None:
    """As its docstring says: bytes in, bytes out, framed."""
    client = Upper.test_client()
    assert client.send(b"one\ntw") == b"ONE\n"
    assert client.send(b"o\r\n") == b"TWO\n"
    seen = [client.closed]
    assert client.end() == b""
    assert [*seen, client.closed] == [False, True]
    assert client.refused is None
    with pytest.raises(ServerStateError, match="has ended"):
        client.send(b"more\n")
    assert client.end() == b""


def test_a_client_for_a_class_that_wants_more() -> None:
    """By a partial; address and server are the test's choice."""

    class Greeting(MessageHandler):
        framing = Lines()

        def __init__(self, *request: Any, word: bytes) -> None:
            super().__init__(*request)
            self.word = word

        def respond(self, message: bytes) -> bytes:
            return self.word + repr((self.client_address, self.server)).encode()

    with MessageClient(functools.partial(Greeting, word=b"hi "), "me", "it") as client:
        assert client.send(b"\n") == b"hi ('me', 'it')\n"
    assert client.closed


def test_a_client_needs_a_framing() -> None:
    """One that is for datagrams is called."""

    class Datagrams(MessageHandler):
        def respond(self, message: bytes) -> bytes:
            return message

    with pytest.raises(ServerStateError, match="Datagrams has no framing"):
        Datagrams.test_client()


def test_what_a_peer_does_wrong_is_seen() -> None:
    """Too long, or incomplete; what came before is answered."""
    client = Upper.test_client()
    assert client.send(b"a\n" + b"b" * 101) == b"A\n"
    assert isinstance(client.refused, MessageTooLong)
    assert client.closed
    client = Upper.test_client()
    assert client.send(b"a\nb") == b"A\n"
    assert client.end() == b""
    assert isinstance(client.refused, IncompleteMessage)


def test_an_endless_reply_is_taken_piece_by_piece() -> None:
    """And closed when the peer goes."""
    gone = []

    def count(self: Any, message: bytes) -> Iterator[bytes]:
        try:
            yield from (b"%d" % number for number in range(10**9))
        finally:
            gone.append(message)

    client = answering(count).test_client()
    pieces = filter(None, client.pieces(b"x\n"))
    assert [next(pieces) for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
    client.disconnect()
    assert gone == [b"x"]


# Replies.


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (b"x", b"x\n"),
        (b"", b"\n"),
        (None, b""),
        ([], b""),
        ([b"x", b"", b"y"], b"x\n\ny\n"),
        ((b"x",), b"x\n"),
        (iter([b"x", b"y"]), b"x\ny\n"),
        (bytearray(b"x"), b"x\n"),
        (memoryview(b"x"), b"x\n"),
        ([bytearray(b"x")], b"x\n"),
        (type("Mine", (bytes,), {})(b"x"), b"x\n"),
        (b"two\nlines", b"two\nlines\n"),
    ],
)
def test_what_may_be_replied(reply: Reply, sent: bytes) -> None:
    """bytes, several, none; what is like bytes is taken for them."""
    assert answering(lambda self, message: reply).test_client().send(b"ask\n") == sent


async def _coroutine() -> bytes:
    return b""


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (5, "gave 5 (a int), not bytes, an iterable of bytes, or None"),
        (True, "gave True (a bool), not"),
        ("text", "gave 'text' (a str), not bytes, an iterable of bytes, or None; encode it"),
        (["text"], "gave, among others, 'text' (a str), not bytes; encode it"),
        ([b"x", None], "gave, among others, None (a NoneType), not bytes"),
        (range(3), "gave, among others, 0 (a int), not bytes"),
        ("y" * 1000, "yyy... (a str)"),
    ],
)
def test_what_may_not_be_replied(reply: object, said: str) -> None:
    """A TypeError that names the handler, the value and its type."""
    with pytest.raises(TypeError) as caught:
        answering(lambda self, message: reply).test_client().send(b"ask\n")
    assert said in str(caught.value)
    assert str(caught.value).startswith("test_messages.Answering: respond() ")
    assert len(str(caught.value)) < 250


def test_the_reply_of_an_async_method_is_refused() -> None:
    """It has not run at all."""
    coroutine = _coroutine()
    with pytest.raises(TypeError, match=r"Answering: respond\(\) gave <coroutine"):
        answering(lambda self, message: coroutine).test_client().send(b"ask\n")
    coroutine.close()


def test_what_may_not_be_sent() -> None:
    """The same for `send`."""
    client = Upper.test_client()
    with pytest.raises(TypeError, match=r"Upper: send\(\) got 'x' \(a str\), not bytes; encode it"):
        client.handler.send("x")  # type: ignore[arg-type]


FRAMINGS: dict[str, Framing] = {
    "lines": Lines(),
    "delimited": Delimited(b"--"),
    "length-prefixed": LengthPrefixed(),
    "one's own": Netstrings(),
}


@pytest.mark.parametrize("name", FRAMINGS)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_split_gets_the_same_replies(name: str, data: st.DataObject) -> None:
    """Replies of every form, in order, whole, wherever the stream is cut."""
    framing = FRAMINGS[name]

    def respond(self: Any, message: bytes) -> Reply:
        form: Reply = {
            0: message,
            1: None,
            2: [message] * 3,
            3: (b"%d" % number for number in range(len(message))),
        }[len(message) % 4]
        return form

    def expected(message: bytes) -> list[bytes]:
        reply = respond(None, message)
        return [reply] if isinstance(reply, bytes) else list(reply or ())

    messages = data.draw(st.lists(st.text("abc", max_size=9).map(str.encode)))
    stream = b"".join(map(framing.encode, messages))
    client = answering(respond, framing).test_client()
    pieces = cut(stream, data.draw(st.lists(st.integers(0, 300))))
    answer = b"".join(map(client.send, pieces)) + client.end()
    assert answer == b"".join(framing.encode(each) for message in messages for each in expected(message))
    assert client.refused is None


# When things go out, and what is held.


def test_replies_to_what_came_together_go_together() -> None:
    """One piece for sixteen."""
    conversation, _ = conversing(Upper)
    assert conversation.receive(b"a\n" * 16) == b"A\n" * 16
    assert not conversation.pending
    assert not conversation.over


def test_a_lazy_reply_is_pulled_one_at_a_time() -> None:
    """Each message is returned before the next is made, and what was answered before goes first."""
    made = []

    def respond(self: Any, message: bytes) -> Reply:
        if message != b"many":
            return message

        def several() -> Iterator[bytes]:
            for number in range(3):
                made.append(number)
                yield b"%d" % number

        return several()

    conversation, _ = conversing(answering(respond))
    assert conversation.receive(b"one\nmany\nlast\n") == b"one\n"
    assert made == []
    for number in range(3):
        assert conversation.pending
        assert conversation.more() == b"%d\n" % number
        assert made == list(range(number + 1))
    assert conversation.more() == b"last\n"
    assert not conversation.pending


@pytest.mark.parametrize("form", ["bytes", "list", "generator"])
def test_what_is_gathered_is_bounded(form: str) -> None:
    """A peer that does not read what it was sent is not answered further: a share and one message is held."""
    answered = []

    def respond(self: Any, message: bytes) -> Reply:
        answered.append(message)
        forms: dict[str, Reply] = {
            "bytes": b"y" * 1000,
            "list": [b"y" * 500] * 2,
            "generator": (b"y" * 1000 for _ in range(1)),
        }
        return forms[form]

    conversation, _ = conversing(answering(respond))
    output = conversation.receive(b"x\n" * 10_000)
    assert GATHERED <= len(output) <= GATHERED + 1001 or form == "generator"
    assert len(answered) <= GATHERED // 1000 + 1
    assert len(output) < 10_000 * 1000
    rest = 0
    while conversation.pending:
        piece = conversation.more()
        assert len(piece) <= GATHERED + 1001
        rest += len(piece)
    assert len(answered) == 10_000
    assert len(output) + rest == 10_000 * {"bytes": 1001, "list": 1002, "generator": 1001}[form]


def test_receiving_before_all_was_returned_is_an_error() -> None:
    """Of the driver: messages would be lost."""
    conversation, _ = conversing(answering(lambda self, message: iter([b"x"])))
    conversation.receive(b"x\n")
    assert conversation.pending
    with pytest.raises(RuntimeError, match="before more"):
        conversation.receive(b"x\n")
    with pytest.raises(RuntimeError, match="before more"):
        conversation.eof()


@given(st.integers(0, 5), st.booleans(), st.sampled_from([LookupError("on purpose"), SystemExit("on purpose")]))
def test_what_was_answered_before_a_failure_is_returned_first(
    before: int, lazy: bool, error: BaseException
) -> None:
    """The error comes when that has been sent."""

    def respond(self: Any, message: bytes) -> Reply:
        if message == b"bad":
            raise error
        return iter([message]) if lazy else message

    conversation, _ = conversing(answering(respond))
    pieces = []
    with pytest.raises(type(error), match="on purpose"):
        for piece in [conversation.receive(b"good\n" * before + b"bad\nnever\n")]:
            pieces.append(piece)
            while conversation.pending:
                pieces.append(conversation.more())
    assert b"".join(pieces) == b"good\n" * before
    assert not conversation.pending


@pytest.mark.parametrize("framing", [Chunks(), Lines()])
def test_a_handler_that_closes_has_still_its_generator_sent(framing: Framing) -> None:
    """It is the reply at hand."""

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        self.close()
        return iter([b"1", b"2", b"3"])

    conversation, _ = conversing(answering(respond, framing))
    assert b"".join(everything(conversation, b"x\n")).replace(b"\n", b"") == b"123"
    assert conversation.over


def test_what_ends_more_than_the_connection_does_not_wait() -> None:
    """For a peer to read what came before, which it may never do."""

    def respond(self: Any, message: bytes) -> bytes:
        if message == b"bad":
            raise KeyboardInterrupt
        return message

    conversation, _ = conversing(answering(respond))
    with pytest.raises(KeyboardInterrupt):
        conversation.receive(b"good\nbad\n")
    assert not conversation.pending


def test_a_generator_that_fails_has_sent_what_it_gave() -> None:
    """Up to there."""

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        yield b"first"
        raise LookupError("on purpose")

    conversation, _ = conversing(answering(respond))
    assert conversation.receive(b"x\n") == b"first\n"
    with pytest.raises(LookupError, match="on purpose"):
        conversation.more()


# Beginning and end.


class Journal(MessageHandler):
    """Takes note of what is called."""

    framing = Chunks()

    def __init__(self, *request: Any) -> None:
        super().__init__(*request)
        self.called: list[object] = []

    def connected(self) -> None:
        self.called.append("connected")
        assert self.send(b"hello")

    def respond(self, message: bytes) -> bytes:
        self.called.append(message)
        return message

    def disconnected(self) -> None:
        self.called.append("disconnected")
        assert not self.send(b"too late")


def test_connected_comes_first_and_disconnected_last() -> None:
    """Once each; a greeting can be sent, and nothing after the end."""
    client = Journal.test_client()
    handler: Any = client.handler
    assert client.received() == b"hello"
    assert client.send(b"x") == b"x"
    assert client.end() == b""
    client.disconnect()
    assert handler.called == ["connected", b"x", "disconnected"]
    assert not handler.send(b"too late")


def test_a_handler_whose_connected_fails_is_not_disconnected() -> None:
    """As `finish` is not called where `setup` has failed."""
    called: list[object] = []

    def fail(self: Any) -> None:
        raise LookupError("on purpose")

    kind = answering(lambda self, message: None, connected=fail, disconnected=called.append)
    conversation = MessageConversation(kind(None, None, None), Manner.of(Lines()), Carrier())
    with pytest.raises(LookupError, match="on purpose"):
        conversation.connect(lambda data: True)
    conversation.disconnect()
    assert called == []


def test_a_reply_that_is_not_used_up_is_closed_before_disconnected() -> None:
    """Also where closing it fails: then both happen, and the failure is told."""
    called = []

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            called.append("closed")
            if message == b"bad":
                raise LookupError("on purpose")

    for message in (b"good", b"bad"):
        called.clear()
        kind = answering(respond, disconnected=lambda self: called.append("disconnected"))
        conversation, _ = conversing(kind)
        conversation.receive(message + b"\n")
        if message == b"good":
            conversation.disconnect()
        else:
            with pytest.raises(LookupError, match="on purpose"):
                conversation.disconnect()
        assert called == ["closed", "disconnected"]
        conversation.disconnect()
        assert called == ["closed", "disconnected"]


def test_input_that_ends_is_answered_to_its_end() -> None:
    """Replies go on after it, then the conversation is over."""
    conversation, carrier = conversing(answering(lambda self, message: iter([message] * 2)))
    assert everything(conversation, b"x\n") == [b"x\n", b"x\n"]
    seen = [conversation.over]
    assert conversation.eof() == b""
    assert [*seen, conversation.over] == [False, True]
    assert carrier.errors == []


def test_a_framing_may_give_messages_at_the_end() -> None:
    """That only the end completes."""

    @attrs.frozen
    class All:
        def decoder(self) -> "AllDecoder":
            return AllDecoder()

        def encode(self, message: bytes, /) -> bytes:
            return message

    class AllDecoder:
        held = b""

        def feed(self, data: bytes, /) -> Iterable[bytes]:
            self.held += data
            return ()

        def eof(self) -> Iterable[bytes]:
            yield self.held
            yield b"end"
            raise MessageError("on purpose")

    conversation, carrier = conversing(answering(lambda self, message: message, All()))
    assert conversation.receive(b"x") == conversation.receive(b"y") == b""
    assert conversation.eof() == b"xyend"
    assert list(map(str, carrier.errors)) == ["on purpose"]


def test_a_framing_that_raises_at_once() -> None:
    """Its error is the peer's, whether it raises or gives first; any other error is the framing's own."""

    @attrs.frozen
    class Refusing:
        error: Exception

        def decoder(self) -> "Refusing":
            return self

        def encode(self, message: bytes, /) -> bytes:
            return message

        def feed(self, data: bytes, /) -> Iterable[bytes]:
            raise self.error

        def eof(self) -> Iterable[bytes]:
            raise self.error

    conversation, carrier = conversing(answering(lambda self, message: message, Refusing(MessageError("bad"))))
    assert conversation.receive(b"x") == b""
    assert conversation.over
    assert list(map(str, carrier.errors)) == ["bad"]
    conversation, carrier = conversing(answering(lambda self, message: message, Refusing(LookupError("bug"))))
    with pytest.raises(LookupError, match="bug"):
        conversation.receive(b"x")
    assert carrier.errors == []


def test_a_message_error_of_the_handler_is_no_mistake_of_its_peer() -> None:
    """It is a failure like any other."""

    def respond(self: Any, message: bytes) -> bytes:
        raise MessageTooLong(5)

    for framing in (Lines(), Netstrings()):
        conversation, carrier = conversing(answering(respond, framing))
        with pytest.raises(MessageTooLong):
            conversation.receive(framing.encode(b"x"))
        assert carrier.errors == []


# Sending unasked, and closing.


def test_send_keeps_its_place_among_the_replies() -> None:
    """In the thread of the conversation: after what was answered, before what will be."""

    def respond(self: Any, message: bytes) -> bytes | None:
        assert self.send(b"note " + message)
        return message

    client = answering(respond).test_client()
    assert client.send(b"1\n2\n3\n") == b"note 1\n1\nnote 2\n2\nnote 3\n3\n"


def test_send_from_another_thread_does_not_touch_what_is_gathered() -> None:
    """It goes out by itself, at once."""
    sent = threading.Event()

    def respond(self: Any, message: bytes) -> bytes:
        if message == b"2":
            thread = threading.Thread(target=lambda: sent.set() if self.send(b"other") else None)
            thread.start()
            thread.join()
        return message

    conversation, carrier = conversing(answering(respond))
    assert conversation.receive(b"1\n2\n") == b"1\n2\n"
    assert sent.is_set()
    assert carrier.delivered == [b"other\n"]


def test_what_could_not_be_sent_is_said() -> None:
    """By the result: before the beginning, after the end, and where the driver says so."""
    conversation, _ = conversing(Upper)
    conversation.disconnect()
    assert not conversation.send(b"x")
    handler: Any = Upper(None, ("peer", 1), None)  # type: ignore[arg-type]
    assert not handler.send(b"x")
    refusing = MessageConversation(handler, Manner.of(Lines()), Carrier())
    refusing.connect(lambda data: False)
    assert not handler.send(b"x")


def test_close_ends_the_conversation_after_the_reply() -> None:
    """What came behind is not answered."""

    def respond(self: Any, message: bytes) -> Reply:
        if message.startswith(b"quit"):
            self.close()
        return [b"bye", b"bye"] if message == b"quit many" else message

    for word, bye in ((b"quit", b"quit\n"), (b"quit many", b"bye\nbye\n")):
        conversation, carrier = conversing(answering(respond))
        assert b"".join(everything(conversation, b"1\n" + word + b"\n2\n")) == b"1\n" + bye
        assert conversation.over
        assert carrier.ended == 0  # nobody waits for input


@pytest.mark.parametrize("inside", [True, False])
def test_close_and_a_reply_that_is_not_complete(inside: bool) -> None:
    """Its own call lets a generator go on to its end; a call from elsewhere does not wait for that."""
    closed = []

    def respond(self: Any, message: bytes) -> Iterator[bytes]:
        try:
            yield b"1"
            if inside:
                self.close()
            yield b"2"
            yield b"3"
        finally:
            closed.append(message)

    conversation, _ = conversing(answering(respond))
    assert conversation.receive(b"x\ny\n") == b"1\n"
    if not inside:
        conversation.handler.close()
    pieces = []
    while conversation.pending:
        pieces.append(conversation.more())
    assert b"".join(pieces) == (b"2\n3\n" if inside else b"")
    assert conversation.over
    conversation.disconnect()
    assert closed == [b"x"]


def test_close_from_elsewhere_ends_the_input() -> None:
    """So that whoever waits for it wakes."""
    conversation, carrier = conversing(Upper)
    conversation.handler.close()
    assert conversation.over
    assert carrier.ended == 1


def test_a_message_is_answered_at_once_where_pieces_are_messages() -> None:
    """The parts by which a driver spares itself calls: no decoder, no encoding, and the reply as it is."""
    conversation, _ = conversing(answering(lambda self, message: message, Chunks()))
    assert conversation.decoder is None
    assert conversation.encode is None
    assert conversation.respond(b"x") == b"x"
    assert conversation.reply(b"x") == b"x"
    assert conversation.receive(b"x") == b"x"
    assert conversation.eof() == b""


def test_messages_are_answered_elsewhere() -> None:
    """Decoding and replying are apart: for who runs `respond` in another process."""
    conversation, carrier = conversing(Upper)
    output = []
    for message in conversation.decode(b"a\nb\n" + b"c" * 101):
        output.append(conversation.reply([message, message]))
        assert not conversation.pending
    assert output == [b"a\na\n", b"b\nb\n"]
    assert conversation.over
    assert isinstance(carrier.errors[0], MessageTooLong)
    assert conversation.reply(None) == b""
    conversation, carrier = conversing(Upper)
    assert list(conversation.decode(b"tail")) == list(conversation.decode_end()) == []
    assert conversation.over
    assert isinstance(carrier.errors[0], IncompleteMessage)
    conversation, _ = conversing(answering(lambda self, message: message, Chunks()))
    assert list(conversation.decode(b"piece")) == [b"piece"]
    assert list(conversation.decode_end()) == []
    with pytest.raises(TypeError, match="Answering: respond"):
        conversation.reply(5)  # type: ignore[arg-type]


def test_an_idle_conversation_holds_little() -> None:
    """After a flood, nothing of it is left."""
    conversation, _ = conversing(Upper)
    everything(conversation, b"x" * 99 + b"\n" + b"y\n" * 30_000)
    for name in ("_messages", "_replies", "_gathered", "_error"):
        assert getattr(conversation, name) is None
