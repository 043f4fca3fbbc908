"""The pages a person looks at."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

import kcseg
from kcseg.config import Config
from kcseg.config_json import to_json
from kcseg.files import write

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("kcseg", "page"),
    undefined=jinja2.StrictUndefined,
    autoescape=jinja2.select_autoescape(["html"]),  # and no Markdown
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, paragraphs set apart by empty lines, a table, figures with their captions."""

    title: str = ""
    text: str = ""
    rows: Sequence[Mapping[str, Any]] = ()  # of the table; the keys of the first are its head
    strong: int | None = None  # place of the row that stands out, from 0
    # each a PNG file, or a figure that the page alone is to hold
    figures: Sequence[tuple[Path | Figure, str]] = ()


def write_sections(
    path: Path, title: str, sections: Sequence[Section], facts: Mapping[str, object] | None = None
) -> Path:
    """Write a page of sections as one HTML file that carries its figures; `facts` stand below its title."""
    write_page(path, "sections.html", title=title, sections=sections, facts=facts or {}, picture=_picture)
    return path


def write_page(path: Path, template: str, **values: Any) -> None:
    """Write a page from a template of this room."""
    write(path, render(template, version=kcseg.__version__, **values))


def render(template: str, **values: Any) -> str:
    """Fill a template of this room in: HTML, or Markdown."""
    return _TEMPLATES.get_template(template).render(**values)


def to_markdown(title: str, sections: Sequence[Section], *, beside: Path) -> str:
    """Return sections as Markdown for a file in the folder `beside`, which also holds their figures."""
    return render("sections.md", title=title, sections=sections, beside=beside)


def settings_section(config: Config) -> Section:
    """Return the part of a page that lists all settings."""
    values = _flat(to_json(config))
    return Section("Settings", rows=[{"setting": name, "value": value} for name, value in values.items()])


def table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return rows of names and numbers as a page shows them; columns that are empty are left out."""
    known = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    heads = {name: name.replace("_", " ").replace("dice", "Dice").replace("mm2", "mm²") for name in known}
    return [{head: _cell(name, row[name]) for name, head in heads.items()} for row in rows]


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if "dice" in name else f"{value:.4g}"
    return "–" if value is None else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level, `network.filters` and so on."""
    level: dict[str, Any] = {}
    for name, value in values.items():
        level |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return level


def _picture(figure: Path | Figure) -> str:
    """Return a figure as a page carries it: base64 of the PNG."""
    if isinstance(figure, Path):
        png = figure.read_bytes()
    else:
        figure.savefig(file := io.BytesIO())
        png = file.getvalue()
    return base64.b64encode(png).decode()
