"""Terms of neural style transfer against NumPy, in float64 and with sums over positions as in the book."""

import chex
import jax
import numpy as np
import pytest

from gdl_jax.losses import style


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return rng.uniform(size=(2, 1, 6, 5, 4)).astype(np.float32)  # of the picture and of another one


def books_gram(values):
    """Returns the book's Gram matrix, a sum over positions: (H, W, C) -> (C, C), float64."""
    flat = values.astype(np.float64).reshape(-1, values.shape[-1]).T
    return flat @ flat.T


def test_content_loss_is_the_sum_or_mean_of_squares(features):
    squares = np.square(np.diff(features.astype(np.float64), axis=0))
    chex.assert_trees_all_close(style.content_loss(*features), np.array([squares.sum()]), rtol=1e-5)
    chex.assert_trees_all_close(style.content_loss(*features, "mean"), np.array([squares.mean()]), rtol=1e-5)


def test_book_text_scale_is_the_papers_equation(features):
    picture, painting = features[:, 0]
    positions, channels = 30, 4
    expected = np.square(books_gram(picture) - books_gram(painting)).sum() / (4 * channels**2 * positions**2)
    factor = style.gram_factor("book_text", channels, positions, pixels=480)
    value = style.style_loss(*map(style.gram_matrix, features), factor)
    chex.assert_trees_all_close(value, np.array([expected]), rtol=1e-4)


def test_keras_scale_is_that_of_keras_example(features):
    picture, painting = features[:, 0]
    rows, columns = 24, 20  # of a picture whose features at this layer have 6 x 5 positions
    expected = np.square(books_gram(picture) - books_gram(painting)).sum() / (4 * 3**2 * (rows * columns) ** 2)
    value = style.style_loss(*map(style.gram_matrix, features), style.gram_factor("keras", 4, 30, rows * columns))
    chex.assert_trees_all_close(value, np.array([expected]), rtol=1e-4)


def test_gram_matrix_of_a_repeated_texture_is_the_same(features):
    texture = features[0]
    tiled = np.tile(texture, (1, 3, 2, 1))
    chex.assert_trees_all_close(style.gram_matrix(tiled), style.gram_matrix(texture), rtol=1e-5)


def test_a_mask_restricts_the_gram_matrix_to_its_part(features):
    texture = features[0]
    mask = np.zeros((1, 6, 5), np.float32)
    mask[:, 1:4, 2:] = 1
    chex.assert_trees_all_close(style.gram_matrix(texture, mask), style.gram_matrix(texture[:, 1:4, 2:]), rtol=1e-5)
    assert np.all(style.gram_matrix(texture, np.zeros_like(mask)) == 0)


def test_total_variation_matches_the_books_code():
    image = np.random.default_rng(1).uniform(size=(1, 7, 9, 3))
    pixels = 255 * image
    right = np.square(pixels[:, :-1, :-1] - pixels[:, :-1, 1:])
    below = np.square(pixels[:, :-1, :-1] - pixels[:, 1:, :-1])
    expected = ((right + below) ** 1.25).sum((1, 2, 3))
    chex.assert_trees_all_close(style.total_variation(image.astype(np.float32)), expected, rtol=1e-4)


def test_total_variation_of_a_flat_image_has_a_finite_gradient():
    gradient = jax.grad(lambda image: style.total_variation(image).sum())(np.full((1, 4, 4, 3), 0.5, np.float32))
    assert np.all(np.asarray(gradient) == 0)


def test_mixed_grams_have_the_gradient_of_the_mean_of_losses(features):
    picture, first = features
    second = np.flip(first, 1) * np.float32([0.5, 1, 2, 1])
    shares = (0.25, 0.75)
    (mixed,) = style.mixed_grams([{"layer": first}, {"layer": second}], ("layer",), shares).values()

    def mean_of_losses(picture):
        losses = [style.style_loss(style.gram_matrix(picture), style.gram_matrix(each)) for each in (first, second)]
        return sum(share * loss[0] for share, loss in zip(shares, losses, strict=True))

    gradient = jax.grad(lambda picture: style.style_loss(style.gram_matrix(picture), mixed)[0])(picture)
    chex.assert_trees_all_close(gradient, jax.grad(mean_of_losses)(picture), rtol=1e-4, atol=1e-6)


def test_terms_add_up_over_layers_with_their_weights(features):
    picture, other = features
    images = np.random.default_rng(2).uniform(size=(1, 6, 5, 3)).astype(np.float32)
    weights = style.StyleWeights({"a": 2.0}, {"a": 3.0, "b": 5.0}, 7.0)
    grams = style.mixed_grams([{"a": other, "b": 2 * other}], ("a", "b"), (1.0,))
    terms = style.style_terms(weights, images, {"a": picture, "b": 2 * picture}, {"a": other}, grams)
    of_a = style.style_loss(style.gram_matrix(picture), grams["a"], style.gram_factor("book_text", 4, 30, 30))
    expected = {
        "content": 2 * style.content_loss(picture, other),
        "style": 3 * of_a + 5 * 2**4 * of_a,  # features twice as large: losses 16 times
        "total_variation": 7 * style.total_variation(images),
    }
    chex.assert_trees_all_close(terms, expected, rtol=1e-5)


def test_a_masked_term_ignores_what_is_outside(features):
    picture, other = features
    images = np.zeros((1, 6, 5, 3), np.float32)
    mask = np.zeros((1, 6, 5), np.float32)
    mask[:, :3] = 1
    weights = style.StyleWeights({}, {"a": 1.0}, 0.0, gram_scale="keras")
    grams = style.mixed_grams([{"a": other}], ("a",), (1.0,))
    changed = np.concatenate([picture[:, :3], 9 * picture[:, 3:]], axis=1)
    terms = [style.style_terms(weights, images, {"a": each}, {}, grams, mask)["style"] for each in (picture, changed)]
    assert terms[0] > 0
    chex.assert_trees_all_close(*terms, rtol=1e-6)
