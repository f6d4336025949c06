"""SVG, as little of it as the plot needs: shapes and words in named colours, for light and for dark."""

import xml.etree.ElementTree as ET

import attrs

__all__ = ("COLOURS", "Drawing")

#: Name → on light ground, on dark. The families' are told apart by people who do not see all colours, too.
COLOURS = {
    "ground": ("#fcfcfb", "#161615"),
    "ink": ("#20201f", "#f0efec"),
    "faint": ("#6b6a65", "#a5a49e"),
    "rule": ("#e4e3df", "#34342f"),
    "sockserve": ("#2a78d6", "#3987e5"),
    "stdlib": ("#e34948", "#e66767"),
    "gevent": ("#008300", "#2f9e44"),
    "asyncio": ("#eb6834", "#d9702f"),
    "uvloop": ("#4a3aa7", "#9085e9"),
    "trio": ("#d55181", "#e87ba4"),
    "twisted": ("#1baf7a", "#25b587"),
    "limit": ("#8a8983", "#85847d"),
}


def _style() -> str:
    def rules(place: int) -> str:
        return "".join(
            f".f-{name}{{fill:{shades[place]}}}.s-{name}{{stroke:{shades[place]}}}"
            for name, shades in COLOURS.items()
        )

    words = "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}.small{font-size:11px}"
    words += ".title{font-size:13px;font-weight:600}.strong{font-weight:600}.line{fill:none;stroke-linejoin:round}"
    return f"{words}{rules(0)}@media(prefers-color-scheme:dark){{{rules(1)}}}"


@attrs.define(eq=False)
class Drawing:
    """
    A picture of *width* by *height* pixels.

    Colours are names from `COLOURS`. It has a ground of its own: what it shows is readable wherever it is put.
    """

    width: float
    height: float
    title: str
    _root: ET.Element = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the ground."""
        size = {"width": _px(self.width), "height": _px(self.height)}
        box = f"0 0 {size['width']} {size['height']}"
        self._root = ET.Element(
            "svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": box, "role": "img", **size}
        )
        ET.SubElement(self._root, "title").text = self.title
        ET.SubElement(self._root, "style").text = _style()
        self.box(0, 0, self.width, self.height, "ground")

    def words(
        self, x: float, y: float, text: str, *, colour: str = "ink", anchor: str = "start", kind: str = ""
    ) -> None:
        """Write *text* on the line *y*; *kind* is ``"title"``, ``"strong"``, ``"small"``, or several."""
        names = f"f-{colour} {kind}".strip()
        place = {"x": _px(x), "y": _px(y), "text-anchor": anchor, "class": names}
        ET.SubElement(self._root, "text", place).text = text

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, hollow: bool = False, tip: str = ""
    ) -> None:
        """Draw a rectangle; *tip* is shown by who points at it."""
        place = {"x": _px(x), "y": _px(y), "width": _px(max(0.0, width)), "height": _px(height)}
        look = (
            {"class": f"s-{colour}", "fill": "none", "stroke-dasharray": "3 2"}
            if hollow
            else {"class": f"f-{colour}"}
        )
        self._tipped(ET.SubElement(self._root, "rect", {**place, **look}), tip)

    def line(
        self,
        points: list[tuple[float, float]],
        colour: str,
        *,
        width: float = 1.0,
        dashes: str = "",
        tip: str = "",
    ) -> None:
        """Draw a line through *points*."""
        places = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
        look = {"points": places, "class": f"line s-{colour}", "stroke-width": _px(width)}
        if dashes:
            look["stroke-dasharray"] = dashes
        self._tipped(ET.SubElement(self._root, "polyline", look), tip)

    def dot(self, x: float, y: float, colour: str, *, tip: str = "") -> None:
        """Draw a dot."""
        look = {"cx": _px(x), "cy": _px(y), "r": "3", "class": f"f-{colour}"}
        self._tipped(ET.SubElement(self._root, "circle", look), tip)

    @staticmethod
    def _tipped(element: ET.Element, tip: str) -> None:
        if tip:
            ET.SubElement(element, "title").text = tip

    def text(self) -> str:
        """Return the file."""
        ET.indent(self._root, "")
        return ET.tostring(self._root, encoding="unicode") + "\n"


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
