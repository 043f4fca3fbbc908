"""Batch normalisation by TensorFlow's own kernel, where Keras puts it together from a dozen operations."""

import tensorflow as tf
from keras import layers


class BatchNormalization(layers.BatchNormalization):
    """Keras' layer with its weights and settings, whose training step takes less; (batch, height, width, channels).

    It has the name of Keras' layer, too, by which saved weights find it. The moving variance takes in that of all
    pixels of a batch with Bessel's correction, n / (n - 1), which Keras leaves out.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: object = None) -> tf.Tensor:
        """Normalise by mean and variance of the batch in training, else by the moving ones."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return outputs
