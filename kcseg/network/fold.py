"""Batch normalisation folded into the convolutions: what a trained network does, with fewer steps."""

import keras
import numpy as np
from keras import KerasTensor, layers


def fold_normalisation(
    network: keras.Model, *, dtype: str = "float32", into: keras.Model | None = None
) -> keras.Model:
    """Return a network for inference whose convolutions do what the batch normalisations after them did.

    At inference a batch normalisation scales and shifts each channel, and so can a convolution with a bias. Input and
    output are those of `build_unet`; soft masks are the same but for the rounding of `dtype`: in float32 they lie as
    near to those of exact arithmetic as before, a few 1e-6, and in float64 within 1e-6 of them.

    Args:
        network: a network of `build_unet` with its weights; it stays as it is.
        dtype: of weights and maps, "float32" or "bfloat16"; the last convolution and the soft mask are float32 always,
            since the steps of bfloat16 next to 0.5 are 1/256.
        into: what an earlier call returned for a network of that shape: it gets the weights, which is quicker.
    """
    normalisations = {
        layer.name.removesuffix("_normalisation"): layer
        for layer in network.layers
        if isinstance(layer, layers.BatchNormalization)
    }

    def normalisation_after(layer: layers.Layer) -> layers.BatchNormalization | None:
        return normalisations.get(layer.name.removesuffix("_convolution"))

    def clone(layer: layers.Layer) -> layers.Layer:
        settings = layer.get_config()
        settings["dtype"] = "float32" if layer is network.layers[-1] else dtype
        if normalisation_after(layer) and isinstance(layer, layers.Conv2D):
            settings["use_bias"] = True
        return type(layer).from_config(settings)

    def call(layer: layers.Layer, x: KerasTensor, **options: object) -> KerasTensor:
        return x if isinstance(layer, layers.BatchNormalization) else layer(x, **options)

    folded = into or keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in folded.layers:
        trained = network.get_layer(layer.name)
        normalisation = normalisation_after(layer)
        if normalisation:
            layer.set_weights(_fold(trained.get_weights()[0], normalisation))
        else:
            layer.set_weights(trained.get_weights())
    return folded


def _fold(kernel: np.ndarray, normalisation: layers.BatchNormalization) -> list[np.ndarray]:
    """Return kernel and bias of the convolution that normalises by itself."""
    # in float64, so that folding adds no rounding of its own
    gamma, beta, mean, variance = (weight.astype(np.float64) for weight in normalisation.get_weights())
    scale = gamma / np.sqrt(variance + normalisation.epsilon)
    return [kernel * scale, beta - mean * scale]
