"""The configuration as JSON, and back: unknown keys and values that cannot be are named."""

import difflib
import json
import reprlib
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kcseg.config import PAPER, Config
from kcseg.errors import InputError

T = TypeVar("T")


def to_json(config: Config) -> dict[str, Any]:
    """Return the configuration as JSON-ready dictionaries and lists."""
    return json.loads(json.dumps(asdict(config)))


def from_json(values: Any, source: str, base: Config = PAPER) -> Config:
    """Return a configuration from what `to_json` gives; keys left out keep the value they have in `base`.

    Raises:
        InputError: unknown key (the nearest known key is named) or value that cannot be; `source` is named.
    """
    return _merge(base, values, source, "")


def _merge(base: T, values: Any, source: str, prefix: str) -> T:
    if not isinstance(values, dict):
        raise InputError(
            f"{prefix or 'the configuration'} in {source} must be an object, got {reprlib.repr(values)}"
        )
    known = [item.name for item in fields(base)]  # type: ignore[arg-type]
    hints = get_type_hints(type(base))
    changes = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"unknown key {reprlib.repr(prefix + key)} in {source}; did you mean '{prefix}{near}'?"
            )
        current = getattr(base, key)
        changes[key] = (
            _merge(current, value, source, f"{prefix}{key}.")
            if is_dataclass(current)
            else _typed(value, hints[key], f"{prefix}{key}", source)
        )
    try:
        return replace(base, **changes)  # type: ignore[type-var]
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _typed(value: Any, kind: Any, name: str, source: str) -> Any:
    """Return a JSON value as the type its field declares, or say what was expected."""
    if get_origin(kind) is tuple and isinstance(value, list):
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) == len(value):
            return tuple(_typed(*pair, name, source) for pair in zip(value, kinds, strict=True))
    elif kind is float:
        if type(value) in (int, float) and abs(value) < 1e30:  # neither infinite nor NaN
            return float(value)
    elif type(value) is kind:
        return value
    expected = getattr(kind, "__name__", kind) if get_origin(kind) is None else kind
    raise InputError(f"'{name}' in {source} must be {expected}, got {reprlib.repr(value)}")
