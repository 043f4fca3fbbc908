"""The ensemble, read from a folder or reached at the address of a TF Serving server."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from kcseg.config import PAPER
from kcseg.errors import InputError
from kcseg.serving.contract import IMAGES_TOGETHER, KIDNEY, Model, wanted

REQUEST_PIXELS = 1 << 20  # a request to a server: 28 crops of 192 x 192, about 20 MiB as JSON (our choice)


@dataclass(frozen=True)
class Segmentation:
    """What the ensemble says of images, arrays (batch, height, width), or of one, (height, width).

    `mask` bool, True = cortex; `probability` float32, the median of the members; `disagreement` float32, their
    standard deviation; `kidney_probability` float32, that of the whole kidney, None where the members do not find it.
    """

    mask: np.ndarray
    probability: np.ndarray
    disagreement: np.ndarray
    kidney_probability: np.ndarray | None = None

    def __getitem__(self, place: Any) -> "Segmentation":
        """Return what is said of one image, or of some."""
        kidney = self.kidney_probability
        return Segmentation(
            self.mask[place],
            self.probability[place],
            self.disagreement[place],
            None if kidney is None else kidney[place],
        )


class Ensemble:
    """The members, their components and the median behind one call, wherever they run."""

    def __init__(
        self, model: Model, *, request_pixels: int | None = None, card: Mapping[str, Any] | None = None
    ):
        """Ask `model`, at most `request_pixels` at a time where given; a larger image goes alone.

        `card` is what packed weights say of themselves.
        """
        self._model = model
        self.card = card or {}
        self._request_pixels = request_pixels

    @classmethod
    def load(cls, path: Path | str | None = None, *, fast: bool = False) -> "Ensemble":
        """Load an ensemble from a folder; needs TensorFlow.

        Args:
            path: a run folder, a model folder (its newest version), one version, or packed weights; None means the
                weights that come with kcseg.
            fast: take one member of packed weights instead of all, which says nothing of disagreement.

        Raises:
            InputError: no ensemble is there, or it cannot be read; `fast` of an exported one.
        """
        from kcseg.serving.bundle import shipped_weights
        from kcseg.serving.local import load_model

        model = load_model(Path(path) if path else shipped_weights(), fast=fast)
        return cls(model, card=model.card)

    @classmethod
    def connect(
        cls, address: str, *, timeout_s: float = 60.0, request_pixels: int = REQUEST_PIXELS
    ) -> "Ensemble":
        """Reach an ensemble on TF Serving or `kcseg serve`; same calls, same answers as from its folder.

        A server that is down, starting or overloaded is asked five times, with three seconds of pauses in all. Without
        a version in the address, the newest answers, which may change between two requests of one call.

        Args:
            address: `http://HOST:8501/v1/models/kcseg` (TF Serving's REST API, needs no TensorFlow) or
                `grpc://HOST:8500/kcseg` (about ten times less to send, needs the extra `kcseg[serve]`), either with
                `/versions/N` behind; `https` and `grpcs` are encrypted. The model's name may be left out.
            timeout_s: for one attempt at one request.
            request_pixels: larger batches are split into requests of so many pixels; a larger image goes alone.

        Raises:
            InputError: no such address, nobody answers there, or it serves no kcseg ensemble of that name.
        """
        from kcseg.serving.address import parse_address

        where = parse_address(address)
        if where.is_grpc:
            from kcseg.serving.rpc import RpcModel

            return cls(RpcModel(where, timeout_s), request_pixels=request_pixels)
        from kcseg.serving.rest import RestModel

        return cls(RestModel(where, timeout_s), request_pixels=request_pixels)

    def segment(self, images_hu: np.ndarray) -> Segmentation:
        """Segment images in HU, (batch, height, width), any size; of one image, (height, width), return one result.

        Raises:
            InputError: images of another rank or without pixels; a server that gives no answer, or an unusable one.
        """
        return self._segment("serving_default", images_hu)

    def segment_raw(self, images_hu: np.ndarray) -> Segmentation:
        """Segment images as `segment` does, but without components: all cortex and kidneys that the members find.

        For images of more than one kidney, and for slices of a scan.

        Raises:
            InputError: as `segment`; an export of release 0.1.0, which cannot do without components.
        """
        return self._segment("raw", images_hu)

    @property
    def finds_kidneys(self) -> bool:
        """Whether the members find the whole kidney beside its cortex."""
        return KIDNEY in wanted(self._model, "raw")

    def segment_each(
        self, images_hu: Iterable[np.ndarray], batch_size: int = IMAGES_TOGETHER, *, raw: bool = False
    ) -> Iterator[Segmentation]:
        """Segment images (height, width) in order, `raw` as `segment_raw`; each result's arrays are (height, width).

        Up to `batch_size` neighbours of one shape go through the networks together; only these are held in memory.
        """
        for _, same_shape in groupby(images_hu, key=np.shape):
            while images := list(islice(same_shape, batch_size)):
                found = (self.segment_raw if raw else self.segment)(np.stack(images))
                yield from (found[place] for place in range(len(images)))

    def soft_masks(self, images_hu: np.ndarray, *, components: bool = True) -> np.ndarray:
        """Return each member's soft mask of images as in `segment`, float32 (batch, members, height, width).

        With `components`, only the largest 2D component of each is kept; without, all that the networks found.

        Raises:
            InputError: as `segment`; an export of release 0.1.0, which cannot do without components.
        """
        return self._ask("members" if components else "raw_members", images_hu)["soft_masks"]

    def _segment(self, signature: str, images_hu: np.ndarray) -> Segmentation:
        is_one = np.ndim(images_hu) == 2
        found = _segmentation(self._ask(signature, np.asarray(images_hu)[None] if is_one else images_hu))
        return found[0] if is_one else found

    def _ask(self, signature: str, images_hu: np.ndarray) -> dict[str, np.ndarray]:
        images, names = _as_images(images_hu), wanted(self._model, signature)
        # no JSON can say "no image of this size": a blank one is asked for, and its answer dropped
        asked = images if len(images) else np.zeros((1, *images.shape[1:]), np.float32)
        limit = self._request_pixels
        count = max(1, limit // asked[0].size) if limit else len(asked)
        parts = [asked[start : start + count] for start in range(0, len(asked), count)]
        answers = [_checked(self._model(signature, part), names, part.shape) for part in parts]
        if len({answer[name].shape[1:-2] for answer in answers for name in names}) > 1:
            raise InputError(
                "the model answers with another number of members from one request to the next; ask again"
            )
        return {name: np.concatenate([answer[name] for answer in answers])[: len(images)] for name in names}


def _segmentation(found: Mapping[str, np.ndarray]) -> Segmentation:
    probability = found["probability"]
    mask = found["mask"].astype(bool) if "mask" in found else probability > PAPER.ensemble.mask_threshold
    return Segmentation(mask, probability, found["disagreement"], found.get(KIDNEY))


def _checked(
    answer: Mapping[str, np.ndarray], names: tuple[str, ...], asked: tuple[int, ...]
) -> Mapping[str, np.ndarray]:
    """Refuse what no exported ensemble answers: it gives numbers from 0 to 1 even for NaN."""
    for name in names:
        values = answer[name]
        members = values.shape[1:2] if name == "soft_masks" else ()
        if values.shape != (*asked[:1], *members, *asked[1:]) or 0 in members:
            raise InputError(
                f"the model answers images of shape {asked} with {name} of shape {values.shape}; export it anew"
            )
        if values.dtype.kind not in "buf" or not np.all((values >= 0) & (values <= 1)):  # NaN is neither
            raise InputError(f"the model answers with {name} outside of 0 to 1; export it anew")
    return answer


def _as_images(images_hu: np.ndarray) -> np.ndarray:
    shape = np.shape(images_hu)
    if len(shape) != 3 or 0 in shape[1:]:
        raise InputError(f"expected images as (batch, height, width) or (height, width), got shape {shape}")
    return np.asarray(images_hu, np.float32)
