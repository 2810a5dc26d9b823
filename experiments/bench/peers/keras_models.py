"""The networks of the benchmarks in Keras 3, trained with model.fit on arrays in memory.

python -m experiments.bench.peers.keras_models --backend=jax --model=cnn --batch_size=32
"""

import math
import os
from functools import partial

from experiments.bench.peers import timing

BACKENDS = ("jax", "torch", "tensorflow")


def _mlp(keras):
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Flatten(),
            layers.Dense(200, activation="relu"),
            layers.Dense(150, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return _compiled_classifier(keras, network)


def _cnn(keras):
    layers = keras.layers
    network = keras.Sequential([layers.Input((32, 32, 3))])
    for filters, stride in ((32, 1), (32, 2), (64, 1), (64, 2)):
        network.add(layers.Conv2D(filters, 3, strides=stride, padding="same"))
        network.add(layers.BatchNormalization())
        network.add(layers.LeakyReLU(negative_slope=0.3))
    network.add(layers.Flatten())
    network.add(layers.Dense(128))
    network.add(layers.BatchNormalization())
    network.add(layers.LeakyReLU(negative_slope=0.3))
    network.add(layers.Dropout(0.5))
    network.add(layers.Dense(10, activation="softmax"))
    return _compiled_classifier(keras, network)


def _compiled_classifier(keras, network):
    optimizer = keras.optimizers.Adam(5e-4, epsilon=1e-7)
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


def _vae(keras):
    layers, ops = keras.layers, keras.ops

    class Sample(layers.Layer):
        """Reparameterisation: mean, log-variance -> z; adds the KL divergence to the loss."""

        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(0)

        def call(self, inputs):
            mean, log_var = inputs
            self.add_loss(ops.mean(-0.5 * ops.sum(1 + log_var - mean**2 - ops.exp(log_var), axis=1)))
            return mean + ops.exp(log_var / 2) * keras.random.normal(ops.shape(mean), seed=self.seeds)

    image = layers.Input((28, 28, 1))
    x = image
    for filters, stride in ((32, 1), (64, 2), (64, 2), (64, 1)):
        x = layers.Conv2D(filters, 3, strides=stride, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.3)(x)
    x = layers.Flatten()(x)
    z = Sample()([layers.Dense(2)(x), layers.Dense(2)(x)])
    x = layers.Reshape((7, 7, 64))(layers.Dense(3136)(z))
    for filters, stride in ((64, 1), (64, 2), (32, 2)):
        x = layers.Conv2DTranspose(filters, 3, strides=stride, padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.3)(x)
    x = layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(x)
    network = keras.Model(image, x)
    optimizer = keras.optimizers.Adam(5e-4, epsilon=1e-7)
    network.compile(optimizer=optimizer, loss=lambda y, p: 1000 * ops.mean((y - p) ** 2, axis=(1, 2, 3)))
    return network


def _generator(keras, first, upsampling, activation):
    """Returns a generator from noise to images; `upsampling` has channels and upsampling of each convolution."""
    layers = keras.layers
    normal = keras.initializers.RandomNormal(0.0, 0.02)
    network = keras.Sequential([layers.Input((100,))])
    network.add(layers.Dense(math.prod(first), kernel_initializer=normal))
    network.add(layers.BatchNormalization(momentum=0.9))
    network.add(activation())
    network.add(layers.Reshape(first))
    for i, (filters, how) in enumerate(upsampling):
        if how == "nearest":
            network.add(layers.UpSampling2D())
        if how == "transposed":
            network.add(layers.Conv2DTranspose(filters, 5, strides=2, padding="same", kernel_initializer=normal))
        else:
            network.add(layers.Conv2D(filters, 5, padding="same", kernel_initializer=normal))
        if i < len(upsampling) - 1:
            network.add(layers.BatchNormalization(momentum=0.9))
            network.add(activation())
    network.add(layers.Activation("tanh"))
    return network


def _critic(keras, image_shape, convolutions, activation, dropout):
    """Returns a critic from images to scores (B, 1); `convolutions` has the channels and the stride of each."""
    layers = keras.layers
    normal = keras.initializers.RandomNormal(0.0, 0.02)
    network = keras.Sequential([layers.Input(image_shape)])
    for filters, stride in convolutions:
        network.add(layers.Conv2D(filters, 5, strides=stride, padding="same", kernel_initializer=normal))
        network.add(activation())
        if dropout:
            network.add(layers.Dropout(dropout))
    network.add(layers.Flatten())
    network.add(layers.Dense(1, kernel_initializer=normal))
    return network


def _gan(keras):
    from experiments.bench.peers import keras_gans  # late, as it imports Keras

    relu = keras.layers.ReLU
    upsampling = ((128, "nearest"), (64, "nearest"), (64, "none"), (1, "none"))
    generator = _generator(keras, (7, 7, 64), upsampling, relu)
    critic = _critic(keras, (28, 28, 1), ((64, 2), (64, 2), (128, 2), (128, 1)), relu, 0.4)
    model = keras_gans.MODELS["gan"](generator, critic)
    rmsprop = partial(keras.optimizers.RMSprop, rho=0.9, epsilon=1e-7)
    model.compile(rmsprop(4e-4), rmsprop(8e-4))
    return model


def _wgan_gp(keras):
    from experiments.bench.peers import keras_gans  # late, as it imports Keras

    leaky = partial(keras.layers.LeakyReLU, negative_slope=0.2)
    upsampling = ((256, "transposed"), (128, "transposed"), (64, "transposed"), (3, "transposed"))
    generator = _generator(keras, (4, 4, 512), upsampling, leaky)
    critic = _critic(keras, (64, 64, 3), ((64, 2), (128, 2), (256, 2), (512, 2)), leaky, 0.0)
    model = keras_gans.MODELS["wgan_gp"](generator, critic)
    adam = partial(keras.optimizers.Adam, beta_1=0.5, beta_2=0.999, epsilon=1e-7)
    model.compile(adam(2e-4), adam(2e-4))
    return model


def _text_rnn(keras):
    layers = keras.layers
    network = keras.Sequential([layers.Input((timing.TOKENS,))])
    network.add(layers.Embedding(timing.VOCABULARY, 100))
    network.add(layers.LSTM(256))
    network.add(layers.Dense(timing.VOCABULARY, activation="softmax"))
    network.compile(keras.optimizers.RMSprop(1e-3, rho=0.9, epsilon=1e-7), loss="sparse_categorical_crossentropy")
    return network


def _translation(name, keras):
    del keras
    from experiments.bench.peers import keras_translation  # late, as it imports Keras

    return keras_translation.MODELS[name]()


def _transformers(name, keras):
    del keras
    from experiments.bench.peers import keras_transformers  # late, as it imports Keras

    return keras_transformers.MODELS[name]()


MODELS = {"mlp": _mlp, "cnn": _cnn, "vae": _vae, "gan": _gan, "wgan_gp": _wgan_gp, "text_rnn": _text_rnn}
MODELS |= {name: partial(_translation, name) for name in timing.OF_TWO_IMAGES}
MODELS |= {name: partial(_transformers, name) for name in timing.OF_TOKENS}


def _random_data(model, count):
    """Returns random inputs and targets of a model, arrays (count, ...) or, for two inputs, a tuple of arrays."""
    if model == "text_rnn":
        return timing.random_tokens(count)
    if model in timing.OF_TOKENS:
        from experiments.bench.peers import keras_transformers  # late, as it imports Keras

        return keras_transformers.random_tokens(model, count)
    inputs = timing.random_images(model, count)
    if model in timing.OF_TWO_IMAGES:
        return inputs, timing.random_images(model, count, seed=1)
    return inputs, inputs if model == "vae" else timing.random_labels(count)


def main():
    options = timing.parse(__doc__, backend=BACKENDS)
    os.environ["KERAS_BACKEND"] = options.backend  # Keras reads it when it is imported
    import keras

    examples = options.batch_size * timing.BATCHES.get(options.model, 1)
    inputs, targets = _random_data(options.model, examples * options.steps)
    stopwatch = timing.Stopwatch(options.steps)
    MODELS[options.model](keras).fit(
        inputs,
        targets,
        batch_size=examples,
        epochs=options.windows + timing.WARM_UP,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: stopwatch.mark())],
    )
    stopwatch.report(f"Keras {keras.__version__} on {options.backend}")


if __name__ == "__main__":
    main()
