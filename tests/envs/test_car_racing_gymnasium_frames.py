"""Frames, compared with gymnasium's in the same states: driving, passing borders, skidding, off the road."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdl_jax.envs.car_racing import picture
from gdl_jax.envs.car_racing.car import CENTRE_Y, HULL_CENTRE_Y, Car, hull_position, hull_velocity
from gdl_jax.envs.car_racing.colours import Colours
from gdl_jax.envs.car_racing.scene import rasterise
from gdl_jax.envs.car_racing.track import MAX_TILES, lay_tiles

pytest.importorskip("Box2D", reason="gymnasium's CarRacing needs Box2D")
pytest.importorskip("pygame", reason="gymnasium's CarRacing needs pygame")

from gymnasium.envs.box2d.car_racing import CarRacing

TIMES = (0, 1, 5, 15, 30, 49, 75, 100, 125, 150, 175, 200, 230, 250, 270, 290, 310)
OPENING = 49  # steps of the initial zoom
CAR = np.s_[66:77, 45:51]  # pixels of a 96x96 frame that the car can cover
ROWS = 84  # above the panel


class _Score(float):
    """A score that prints as an empty string unless `shown`."""

    shown = False

    def __format__(self, spec):
        return super().__format__(spec) if self.shown else ""


class Game(CarRacing):
    """gymnasium's game; frames contain the score only if `_Score.shown`."""

    reward = property(lambda self: self._score, lambda self, value: setattr(self, "_score", _Score(value)))

    def frame(self, score=False):
        _Score.shown = score
        frame = self._render("state_pixels")
        _Score.shown = False
        return frame

    def skip(self, action):
        """Makes a step without drawing."""
        self._render = lambda mode: None
        self.step(np.asarray(action, np.float64))
        del self._render


def scene_of(game):
    points = np.asarray(game.track)  # (N, 4): polar angle, angle, x, y
    rows = np.minimum(np.arange(MAX_TILES), len(points) - 1)
    angle, centre = (jnp.asarray(points[rows][:, part], jnp.float32) for part in (1, slice(2, 4)))
    track, _ = jax.jit(lay_tiles)(jnp.int32(len(points)), angle, centre)
    colours = Colours(*(jnp.asarray(c, jnp.float32) for c in (game.road_color, game.bg_color, game.grass_color)))
    return jax.jit(rasterise)(track, colours, 2000 / 6)


def car_of(game):
    """Returns our car in the state of gymnasium's."""
    hull, wheels = game.car.hull, game.car.wheels
    cos, sin = np.cos(hull.angle), np.sin(hull.angle)
    lever = hull.angularVelocity * (HULL_CENTRE_Y - CENTRE_Y)
    values = {
        "position": np.array(hull.position) + CENTRE_Y * np.array([-sin, cos]),
        "angle": hull.angle,
        "velocity": np.array(hull.linearVelocity) + lever * np.array([cos, sin]),
        "spin": hull.angularVelocity,
        "wheel_omega": [wheel.omega for wheel in wheels],
        "wheel_phase": [wheel.phase for wheel in wheels],
        "joint_angle": [wheel.joint.angle for wheel in wheels],
        "gas": 0.0,
    }
    return Car(**{name: jnp.asarray(value, jnp.float32) for name, value in values.items()})


def drive(game, step, noise):
    """Follows the road for 250 steps, then accelerates to the right, and finally brakes to the left."""
    if step >= 280:
        return -0.5, 0.0, 0.5
    if step >= 250:
        return 0.8, 0.6, 0.0
    points, here = np.asarray(game.track)[:, 2:], np.array(game.car.hull.position)
    ahead = points[(np.square(points - here).sum(axis=1).argmin() + 6) % len(points)] - here
    error = (np.arctan2(-ahead[0], ahead[1]) - game.car.hull.angle + np.pi) % (2 * np.pi) - np.pi
    speed = np.linalg.norm(game.car.hull.linearVelocity)
    return np.clip(-2 * error, -1, 1) + 0.05 * noise, 0.5 * (speed < 50), 0.3 * (speed > 60)


def record(seed, **options):
    """Returns a scene and rows (step, time, car, frame, frame with score)."""
    game = Game(**options)
    game._render = lambda mode: None
    game.reset(seed=seed)
    del game._render
    scene, noise, rows = scene_of(game), np.random.default_rng(seed).normal(size=TIMES[-1] + 1), []
    for step in range(TIMES[-1] + 1):
        if step in TIMES:
            rows.append((step, game.t, car_of(game), game.frame(), game.frame(score=True)))
        game.skip(drive(game, step, noise[step]))
    return scene, rows


@pytest.fixture(scope="module")
def recorded():
    """Returns rows (step, scene, time, car, gymnasium's frame, the same with its score, our frame) of three tracks."""
    draw = jax.jit(picture.draw_gymnasium)
    found = []
    for seed in (0, 1, 2):
        scene, rows = record(seed)
        found += [
            (step, scene, t, car, frame, raw, np.asarray(draw(scene, car, t))) for step, t, car, frame, raw in rows
        ]
    return found


def apart(one, other):
    return np.abs(one.astype(np.float64) - other)


def overlap(one, other):
    """Returns the intersection over union of two masks."""
    return (one & other).sum() / (one | other).sum()


def test_car_of_copies_gymnasiums_state():
    game = Game()
    game.reset(seed=5)
    for _ in range(40):
        game.skip((0.6, 0.5, 0.0))
    car = car_of(game)
    np.testing.assert_allclose(hull_position(car), game.car.hull.position, atol=1e-4)
    np.testing.assert_allclose(hull_velocity(car), game.car.hull.linearVelocity, atol=1e-4)


@pytest.mark.slow
def test_frames_match_gymnasium(recorded):
    errors = {(n, row[0]): apart(row[4], row[6]).mean() for n, row in enumerate(recorded)}
    assert max(errors.values()) < 0.6, errors
    assert np.mean(list(errors.values())) < 0.3


def test_frames_are_close_even_with_gymnasiums_score(recorded):
    assert max(apart(row[5], row[6]).mean() for row in recorded) < 2.5


def test_roads_cover_the_same_pixels(recorded):
    def road(frame):
        frame = frame[:ROWS].astype(int)
        grey = (np.abs(frame[..., 0] - frame[..., 1]) < 40) & (frame[..., 1] > 80) & (frame[..., 2] > 80)
        grey[CAR] = False
        return grey

    large = [row for row in recorded if row[0] > OPENING and road(row[4]).mean() > 0.1]
    assert len(large) > 15
    assert min(overlap(road(row[4]), road(row[6])) for row in large) > 0.98


def test_tiles_have_their_shades(recorded):
    """Compares the road ahead of the car; gymnasium removes the shades of tiles that the car has touched."""
    for row in recorded:
        if 50 < row[0] < 250:
            grey = (np.ptp(row[4][:60].astype(int), axis=-1) < 2) & (np.ptp(row[6][:60].astype(int), axis=-1) < 2)
            assert grey.sum() > 200
            assert apart(row[4], row[6])[:60][grey].mean() < 0.5
            assert np.ptp(row[6][:60][grey]) >= 5


def test_borders_match_gymnasium(recorded):
    def red(frame):
        frame = frame[:ROWS].astype(int)
        found = (frame[..., 0] > 200) & (frame[..., 1] < 110)
        found[CAR] = False
        return found

    def white(frame):
        return (frame[:ROWS] > 200).all(axis=-1)

    for colour in (red, white):
        theirs, ours = (np.concatenate([colour(row[k]) for row in recorded if row[0] > 20]) for k in (4, 6))
        assert theirs.sum() > 30
        assert overlap(theirs, ours) > 0.75
        assert abs(theirs.sum() - ours.sum()) < 0.2 * theirs.sum()


def test_car_matches_gymnasium(recorded):
    def hull(frame):
        return frame[CAR][..., 0].astype(int) - frame[CAR][..., 1] > 60

    def wheels(frame):
        return frame[CAR].max(axis=-1) < 60

    def redness(rows, k):
        return sum((row[k][CAR][..., 0].astype(int) - row[k][CAR][..., 1]).clip(0).sum() for row in rows)

    late = [row for row in recorded if row[0] > OPENING]
    assert max(apart(row[4], row[6])[CAR].mean() for row in late) < 9
    for part in (hull, wheels):
        theirs, ours = (np.stack([part(row[k]) for row in late]) for k in (4, 6))
        assert theirs.sum() > 3 * len(late)
        assert overlap(theirs, ours) > 0.85, part
    for rows, most in ((late, 0.05), ([row for row in recorded if row[0] < 20], 0.1)):
        assert abs(redness(rows, 6) / redness(rows, 4) - 1) < most


def test_indicators_match_gymnasium(recorded):
    bars = {"speed": (12, 14), "wheels": (17, 27), "steering": (38, 60), "spin": (64, 96)}
    assert max(apart(row[4], row[6])[ROWS:].mean() for row in recorded) < 0.12
    for name, (first, last) in bars.items():
        theirs, ours = (np.array([row[k][ROWS:, first:last].sum(dtype=float) for row in recorded]) for k in (4, 6))
        assert np.ptp(theirs) > 1000, name  # the bar moves
        np.testing.assert_allclose(ours, theirs, rtol=0.03, atol=60, err_msg=name)


def test_small_frames_match_gymnasiums_after_shrinking(recorded):
    draw = jax.jit(picture.draw_gymnasium64)
    errors = []
    for step, scene, t, car, frame, raw, _ in recorded:
        np.testing.assert_array_equal(picture.shrink(frame), picture.shrink(raw))  # the score is blackened
        assert (frame != raw).any()
        errors.append((apart(picture.shrink(raw), np.asarray(draw(scene, car, t))).mean(), step))
    assert max(errors)[0] < 0.9, sorted(errors)[-5:]
    assert np.mean([error for error, step in errors if step > OPENING]) < 0.5


@pytest.mark.slow
def test_large_views_match_gymnasiums_window():
    import pygame

    game = Game()
    game.reset(seed=3)
    scene, draw = scene_of(game), jax.jit(picture.draw_view, static_argnums=(3, 4))
    for step in range(101):
        if step in (20, 100):
            game.frame()
            window = pygame.surfarray.array3d(game.surf).swapaxes(0, 1)
            view = np.asarray(draw(scene, car_of(game), game.t, 800, 1000))
            assert apart(view, window).mean() < 0.6
            assert (apart(view, window).max(axis=-1) > 30).mean() < 0.01
        game.skip(drive(game, step, 0.0))


def test_random_colours_are_drawn_as_in_gymnasium():
    scene, rows = record(4, domain_randomize=True)
    draw = jax.jit(picture.draw_gymnasium)
    assert not np.allclose(scene.colours.road, 102)
    assert max(apart(row[3], np.asarray(draw(scene, row[2], row[1]))).mean() for row in rows) < 1.2
