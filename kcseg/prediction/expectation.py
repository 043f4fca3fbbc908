"""The Dice to expect of a kidney's cortex, told from how sure the members are of it and how well it can be seen."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from kcseg.errors import InputError
from kcseg.image.grid import Spacing
from kcseg.prediction.kidneys import FoundKidney
from kcseg.serving.runner import Segmentation

# Our choice: of five masks like this one, one has a Dice below the interval or above it.
QUANTILES = (0.1, 0.5, 0.9)
LOW_DICE = 0.8  # below it a person should look first
_UNSURE = (0.2, 0.8)  # the members' median where they cannot decide
_FULL_CONTRAST_HU = 80.0  # beyond it a cortex is seen no better
FEATURES = (
    *("disagreement", "unsure_share", "cortex_probability", "kidney_probability"),
    *("contrast", "contrast_unknown", "cortex_area", "cortex_share", "is_cut"),
)


def features_of(kidney: FoundKidney, found: Segmentation, spacing_mm: Spacing) -> np.ndarray:
    """Return what is looked at to judge a kidney's cortex, float64 (features,); images are (height, width)."""
    assert found.kidney_probability is not None
    inside, area = kidney.kidney, np.count_nonzero(kidney.cortex)
    probability = found.probability[inside]
    unsure = (probability > _UNSURE[0]) & (probability < _UNSURE[1])
    contrast = kidney.contrast_hu
    return np.array(
        [
            np.log(found.disagreement[inside].mean() + 0.002),
            unsure.mean(),
            found.probability[kidney.cortex].mean() if area else 0.0,
            found.kidney_probability[inside].mean(),
            0.0 if contrast is None else np.clip(contrast / _FULL_CONTRAST_HU, 0, 1),
            contrast is None,
            np.log1p(area * spacing_mm[0] * spacing_mm[1]),
            area / np.count_nonzero(inside),
            kidney.is_cut,
        ],
        np.float64,
    )


@dataclass(frozen=True)
class Expectation:
    """Linear quantiles of the logit of Dice over the features (our choice), as fitted on cases exactly known.

    `coefficients` are (quantiles, 1 + features), the constant first; features are held within `lowest` and `highest`,
    between which the fit has seen any.
    """

    coefficients: list[list[float]]
    lowest: list[float]
    highest: list[float]

    @classmethod
    def stated(cls, card: Mapping[str, Any]) -> "Expectation | None":
        """Return that of packed weights, which their card states; None where it states none.

        Raises:
            InputError: it was fitted to other features.
        """
        if not (facts := card.get("expected_dice")):
            return None
        if facts.get("features") != list(FEATURES):
            raise InputError(
                "the weights' card.json states an expected Dice of another kcseg; install both anew"
            )
        return cls(**{name: facts[name] for name in cls.__dataclass_fields__})

    def facts(self) -> dict[str, Any]:
        """Return what a card states."""
        return {"features": list(FEATURES), **asdict(self)}

    def __call__(self, features: np.ndarray) -> tuple[float, float, float]:
        """Return the Dice to expect, and the lower and upper end of the interval that holds four masks in five."""
        seen = np.clip(features, self.lowest, self.highest)
        low, middle, high = sorted(expit(np.array(self.coefficients) @ [1.0, *seen]).tolist())
        return middle, low, high
