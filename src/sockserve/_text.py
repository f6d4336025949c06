"""Text that somebody else has chosen, for people to read."""

__all__ = ("printable",)


def printable(text: str) -> str:
    r"""
    Write what cannot be seen, or would turn the text around, as Python escapes it: ``\n``, ``\u202e``, ``\udcff``.

    A peer on a Unix socket chooses its own address: it is not to write lines of its own, nor to disguise itself.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
