"""
The reference: a directive that shows what a module makes public, and where a name in a text leads to.

``{public} sockserve.strategies`` shows every name of that module's ``__all__``, under the shortest name that it
can be imported by; a new one appears by itself. With names behind it, it shows these. A name between backticks, or
in a signature, leads to what has been shown, from wherever it is written.
"""

import builtins
import importlib
import sys
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from exported import PACKAGE, derived, kind, own, shortest
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective


class Public(SphinxDirective):
    """Shows the public names of a module: all, or those that are given."""

    required_arguments = 1
    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        """Hand them to autodoc."""
        module, *names = self.arguments
        lines = [] if names else [f".. automodule:: {module}", "   :no-members:", ""]
        loaded = importlib.import_module(module)
        for name in names or own(module):
            where, how = shortest(module, name), kind(getattr(loaded, name))
            lines += [f".. currentmodule:: {where}", "", f".. {how}:: {name}"]
            if how in {"autoclass", "autoexception"}:
                lines.append("   :members:")
                if derived(getattr(loaded, name)):
                    lines.append("   :show-inheritance:")
            lines.append("")
        section = nodes.Element()
        fence = ["```````{eval-rst}", *lines, "```````"]
        self.state.nested_parse(StringList(fence, source=module), self.content_offset, section)
        return section.children


def resolve(
    app: Sphinx, env: BuildEnvironment, reference: pending_xref, shown: nodes.TextElement
) -> nodes.Element | None:
    """Find what a name means that is not written in full, or names the module that defines it rather than ours."""
    if reference.get("refdomain") != "py":
        return None
    target = str(reference["reftarget"])
    domain = env.domains.python_domain
    parts = target.split(".")
    for length in (2, 1):
        last = ".".join(parts[-length:])
        found = [name for name in (f"{PACKAGE}.{last}", *endings(domain.objects, last)) if name in domain.objects]
        if len(parts) >= length and found:
            entry = domain.objects[found[0]]
            builder = app.builder
            uri = builder.get_relative_uri(reference["refdoc"], entry.docname)
            made = nodes.reference("", "", shown, internal=True, refuri=f"{uri}#{entry.node_id}")
            made["reftitle"] = found[0]
            return made
    # Type checkers see to the names in signatures: type variables, what is imported for them alone, private ones.
    return shown if reference["reftype"] == "class" or somebody_elses(target) else None


def endings(objects: dict[str, Any], last: str) -> list[str]:
    """Find the full names that end so; the shortest first."""
    return sorted((name for name in objects if name.endswith(f".{last}")), key=len)


def somebody_elses(target: str) -> bool:
    """Whether it is there to be imported, in Python or one of its libraries: a link needs intersphinx."""
    if hasattr(builtins, target.partition(".")[0]):
        return True
    module, _, name = target.rpartition(".")
    while module:
        try:
            found: Any = importlib.import_module(module)
        except ImportError:
            module, _, first = module.rpartition(".")
            name = f"{first}.{name}"
            continue
        for part in name.split("."):
            found = getattr(found, part, None)
        return found is not None
    return target in sys.stdlib_module_names


def no_types(app: Sphinx, what: str, *about: Any) -> None:
    """
    Keep napoleon from taking what stands before a colon for a type: types are annotated.

    It looks at the first line of an attribute's docstring, and of what is returned. An empty comment has none.
    """
    *_, lines = about
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]
    for number in [number for number, line in enumerate(lines) if line == "Returns:"]:
        lines[number + 1 : number + 1] = ["    ..", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", no_types, priority=400)  # before napoleon
    app.connect("missing-reference", resolve, priority=900)  # after intersphinx
    return {"parallel_read_safe": True}
