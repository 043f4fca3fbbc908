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
    _render(path, "sections.html", title=title, sections=carried)


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


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    scores: Sequence[Mapping[str, Any]],
    members: Sequence[Mapping[str, Any]],
    figures: Sequence[tuple[Path, str]],
    config: Mapping[str, object],
) -> None:
    """Write the page of a run as one HTML file that carries its figures: (PNG file, caption) each."""
    _render(
        path,
        "run.html",
        title=title,
        facts=facts,
        scores=scores,
        members=members,
        figures=_carried(figures),
        config=config,
    )


def write_predictions_page(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the page beside `overlays/` that shows every prediction, those a person should look at first."""
    _render(path, "predictions.html", rows=sorted(rows, key=lambda row: row["note"] == ""))


def write_preview_page(path: Path, **values: Any) -> None:
    """Write the page of simulated and real crops from what `write_preview` gathers."""
    _render(path, "preview.html", **values)


def write_tuning_page(path: Path, *, figures: Sequence[tuple[Path, str]], **values: Any) -> None:
    """Write the page of a search, which carries its figures: (PNG file, caption) each."""
    _render(path, "tuning.html", figures=_carried(figures), **values)


def write_audit_page(path: Path, *, figures: Sequence[tuple[Path, str]], **values: Any) -> None:
    """Write the page of an audit from what `write_audit` gathers; it carries its figures: (PNG file, caption) each."""
    _render(path, "audit.html", figures=_carried(figures), **values)


def _carried(figures: Sequence[tuple[Path, str]]) -> list[tuple[str, str]]:
    """Return figures as a page carries them: base64 of the PNG file, and the caption."""
    return [(base64.b64encode(file.read_bytes()).decode(), caption) for file, caption in figures]


def _render(path: Path, template: str, **values: Any) -> None:
    write(path, _TEMPLATES.get_template(template).render(version=kcseg.__version__, **values))
