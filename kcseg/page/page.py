"""The pages a person looks at."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

import kcseg
from kcseg.files import write

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("kcseg", "page"), autoescape=True, undefined=jinja2.StrictUndefined
)


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, paragraphs set apart by empty lines, a table, figures with their captions."""

    title: str
    text: str = ""
    rows: Sequence[Mapping[str, Any]] = ()  # of a table; the keys of the first are its head
    figures: Sequence[tuple[Any, str]] = ()  # PNG file and caption


def write_sections(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write a page of sections as one HTML file that carries its figures."""
    carried = [replace(section, figures=_carried(section.figures)) for section in sections]
    write_page(path, "sections.html", title=title, sections=carried)


def to_markdown(title: str, sections: Sequence[Section], *, beside: Path) -> str:
    """Return sections as Markdown for a file in the folder `beside`, which also holds their figures."""
    parts = [f"# {title}"]
    for section in sections:
        parts += [f"## {section.title}"] if section.title else []
        parts += [section.text] if section.text else []
        if section.rows:
            cells = [list(section.rows[0]), ["---"] * len(section.rows[0])]
            cells += [[str(value) for value in row.values()] for row in section.rows]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in cells))
        for file, caption in section.figures:
            parts.append(f"![{caption}]({file.relative_to(beside).as_posix()})\n\n*{caption}*")
    return "\n\n".join(parts) + "\n"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, `network.filters` and so on."""
    level: dict[str, Any] = {}
    for name, value in values.items():
        level |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return level


def write_page(path: Path, template: str, *, figures: Sequence[tuple[Path, str]] = (), **values: Any) -> None:
    """Write a page from a template as one HTML file that carries its figures: (PNG file, caption) each."""
    page = _TEMPLATES.get_template(template)
    write(path, page.render(version=kcseg.__version__, figures=_carried(figures), **values))


def _carried(figures: Sequence[tuple[Path, str]]) -> list[tuple[str, str]]:
    """Return figures as a page carries them: base64 of the PNG file, and the caption."""
    return [(base64.b64encode(file.read_bytes()).decode(), caption) for file, caption in figures]
