"""Pools of earlier images against lists in plain Python, by their statistics, and over seeds and devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.learners.image_pool import RULES, empty_pool, exchange

SIZE, BATCH = 5, 4
KEY = jax.random.key(0)
exchange_once = jax.jit(exchange, static_argnames=("rule", "axis_name"))


def numbered(first, count):
    """Returns images (count, 1, 2, 1) whose pixels are their numbers."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    return np.broadcast_to(numbers[:, None, None, None], (count, 1, 2, 1))


def numbers(images):
    values = np.asarray(images)
    np.testing.assert_array_equal(values, np.broadcast_to(values[:, :1, :1], values.shape))  # no image is mixed
    return values[:, 0, 0, 0].astype(int).tolist()


def empty(size=SIZE):
    return empty_pool(size, jnp.zeros((1, 2, 1)))


@partial(jax.jit, static_argnames=("rule", "batch", "updates"))
def exchanged(pool, key, rule, batch, updates):
    """Returns the pool after several updates with new images, and the images returned, (updates, batch, 1, 2, 1)."""

    def update(pool, numbered_key):
        number, key = numbered_key
        images = number * batch + jnp.arange(batch, dtype=jnp.float32)
        return exchange(pool, jnp.broadcast_to(images[:, None, None, None], (batch, 1, 2, 1)), key, rule)

    return jax.lax.scan(update, pool, (jnp.arange(updates), jax.random.split(key, updates)))


def with_list(rule, stored, image, number, key):
    """Returns the image for the critic, and changes the list of stored images; `number` images came before."""
    if rule == "book":  # as deque(maxlen=SIZE).append and random.choice
        stored[number % SIZE : number % SIZE + 1] = [image]
        return stored[int(jax.random.randint(key, (), 0, len(stored)))]
    if len(stored) < SIZE:
        stored.append(image)
        return image
    swap_key, place_key = jax.random.split(key)
    place = int(jax.random.randint(place_key, (), 0, SIZE))
    if jax.random.bernoulli(swap_key):
        stored[place], image = image, stored[place]
    return image


@pytest.mark.parametrize("rule", RULES)
def test_images_are_those_of_a_list_with_the_same_draws(rule):
    pool, returned = exchanged(empty(), KEY, rule, BATCH, 6)
    keys = [key for of_update in jax.random.split(KEY, 6) for key in jax.random.split(of_update, BATCH)]
    stored = []
    expected = [with_list(rule, stored, number, number, key) for number, key in enumerate(keys)]
    assert numbers(returned.reshape(-1, 1, 2, 1)) == expected
    assert numbers(pool.images) == stored
    assert pool.count == (SIZE if rule == "paper" else len(keys)) and pool.count.dtype == jnp.int32


def test_the_paper_s_rule_returns_older_images_half_of_the_time():
    _, returned = exchanged(empty(20), KEY, "paper", 1, 4000)
    returned = np.array(numbers(returned[:, 0]))
    new = np.arange(4000)
    np.testing.assert_array_equal(returned[:20], new[:20])  # until the pool is full
    swapped = returned[20:] != new[20:]
    assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(3980)
    ages = (new - returned)[20:][swapped]
    assert ages.min() >= 1 and abs(ages[500:].mean() - 40) < 4 * 40 / np.sqrt(len(ages) - 500)  # geometric, p = 1/40
    assert len(set(returned[20:].tolist())) == 3980  # an image that was returned is no longer in the pool


def test_the_book_s_rule_returns_each_of_the_last_images_equally_often():
    _, returned = exchanged(empty(8), KEY, "book", 1, 4000)
    ages = np.arange(4000) - np.array(numbers(returned[:, 0]))
    assert (ages >= 0).all() and (ages <= np.minimum(np.arange(4000), 7)).all()
    shares = np.bincount(ages[8:], minlength=8) / 3992
    np.testing.assert_allclose(shares, 1 / 8, atol=4 * np.sqrt(1 / 8 * 7 / 8 / 3992))


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_may_be_larger_than_the_pool(rule):
    pool, returned = exchange_once(empty(2), jnp.asarray(numbered(0, 7)), KEY, rule)
    assert set(numbers(returned)) | set(numbers(pool.images)) <= set(range(7))
    if rule == "book":
        assert sorted(numbers(pool.images)) == [5, 6]
    else:
        assert sorted(numbers(returned[2:]) + numbers(pool.images)) == list(range(7))  # none is lost or doubled


def test_every_seed_has_a_pool_of_its_own():
    keys = jax.random.split(KEY, 3)
    pools = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), empty())
    of_seeds = jax.vmap(lambda pool, key: exchanged(pool, key, "paper", BATCH, 4))(pools, keys)
    for seed, key in enumerate(keys):
        alone = exchanged(empty(), key, "paper", BATCH, 4)
        jax.tree.map(
            lambda one, all_of_them, seed=seed: np.testing.assert_array_equal(one, all_of_them[seed]), alone, of_seeds
        )
    assert len({tuple(numbers(images)) for images in of_seeds[1].reshape(3, -1, 1, 2, 1)}) == 3


@pytest.mark.parametrize("rule", RULES)
def test_devices_exchange_the_images_of_the_whole_batch(rule):
    """A mapped axis with a name has the collectives of pmap."""
    images = jnp.asarray(numbered(0, 12))
    pool, returned = exchange_once(empty(), images, KEY, rule)
    over_devices = jax.vmap(
        lambda pool, images, key: exchange(pool, images, key, rule, "data"), (None, 0, None), axis_name="data"
    )
    pools, parts = jax.jit(over_devices)(empty(), images.reshape(4, 3, 1, 2, 1), KEY)
    np.testing.assert_array_equal(parts.reshape(12, 1, 2, 1), returned)
    for device in range(4):
        jax.tree.map(lambda one, other, device=device: np.testing.assert_array_equal(one, other[device]), pool, pools)


def test_an_empty_pool_has_the_type_of_its_images():
    pool = empty_pool(3, jnp.zeros((2, 4, 1), jnp.bfloat16))
    assert pool.images.shape == (3, 2, 4, 1) and pool.images.dtype == jnp.bfloat16 and pool.count == 0
