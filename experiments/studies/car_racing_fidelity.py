"""Compares our CarRacing with gymnasium's CarRacing-v3: tracks, drives and returns.

    python -m experiments.studies.car_racing_fidelity                                 a minute
    python -m experiments.studies.car_racing_fidelity --tracks=2000 --episodes=200    smaller errors

Writes three tables. Tracks: means over `--tracks` tracks of each game, and the p-value of a two-sample
Kolmogorov-Smirnov test. Drives: with the same actions on three of gymnasium's tracks, the largest distance between the
cars, relative to the distance driven; the number of tiles that only one of them visited; and the largest difference
between the rewards of a step. Scores: mean and standard deviation of the returns of `--episodes` episodes of up to
1,000 steps, on the same tracks and with the same actions (pure pursuit reacts to each game's state). Needs
gymnasium[box2d].
"""

import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import stats

from gdl_jax.core.extras import locate
from gdl_jax.core.json_files import write_json
from gdl_jax.envs.car_racing import policies
from gdl_jax.envs.car_racing.car import CENTRE_Y, HULL_CENTRE_Y, Car, hull_position
from gdl_jax.envs.car_racing.simulation import EnvParams, reset, step
from gdl_jax.envs.car_racing.track import MAX_TILES, TILE_LENGTH, Track, lay_tiles, make_track
from gdl_jax.envs.rollouts import Rollout, open_loop, rollout
from gdl_jax.runs import command
from gdl_jax.runs.tables import as_table

STEPS = 1000  # of an episode
COMPARED_AT = (50, 150)  # steps after which positions are compared


def load_track(points: np.ndarray) -> Track:
    """Returns our track through gymnasium's points (N, 3): angle, x, y.

    Raises:
      ValueError: the track has too many tiles, or too many in one place.
    """
    count = len(points)
    rows = points[np.minimum(np.arange(MAX_TILES), count - 1)].astype(np.float32)
    track, fits = jax.jit(lay_tiles)(jnp.int32(count), rows[:, 0], rows[:, 1:])
    if count > MAX_TILES or not fits:
        raise ValueError(f"no room for a track of {count} tiles")
    return track


def load_car(game: Any) -> Car:
    """Returns the current state of gymnasium's car as one rigid body."""
    hull, wheels = game.car.hull, game.car.wheels
    cos, sin = np.cos(hull.angle), np.sin(hull.angle)
    turn = hull.angularVelocity * (HULL_CENTRE_Y - CENTRE_Y)  # Box2D's velocity is that of the hull's centre
    return Car(
        position=np.float32(np.array(hull.position) + CENTRE_Y * np.array([-sin, cos])),
        angle=np.float32(hull.angle),
        velocity=np.float32(np.array(hull.linearVelocity) + turn * np.array([cos, sin])),
        spin=np.float32(hull.angularVelocity),
        wheel_omega=np.float32([wheel.omega for wheel in wheels]),
        wheel_phase=np.float32([wheel.phase for wheel in wheels]),
        joint_angle=np.float32([wheel.joint.angle for wheel in wheels]),
        gas=np.float32(wheels[2].gas),
    )


def track_statistics(points: np.ndarray) -> dict[str, float]:
    """Returns statistics of a track, given its points (N, 3): angle, x, y."""
    angle, x, y = points.T
    turn = np.abs((np.diff(angle) + np.pi) % (2 * np.pi) - np.pi)
    return {
        "tiles": len(points),
        "mean_curvature": turn.mean() / TILE_LENGTH,
        "hard_turn_share": (turn > 0.2).mean(),
        "straight_share": (turn < 0.01).mean(),
        "enclosed_area": 0.5 * np.abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)),
        "width": np.ptp(x),
        "height": np.ptp(y),
    }


def make_points(seed: int, num: int) -> list[np.ndarray]:
    """Returns the points (N, 3) of `num` of our tracks, in gymnasium's form."""
    tracks = jax.jit(jax.vmap(make_track))(jax.random.split(jax.random.key(seed), num))
    rows = np.concatenate([tracks.angle[..., None], tracks.centre], axis=-1)
    return [points[:count] for points, count in zip(rows, np.asarray(tracks.count), strict=True)]


def compare_tracks(ours: Iterable[np.ndarray], theirs: Iterable[np.ndarray]) -> dict[str, dict[str, float]]:
    """Returns {statistic: {"ours", "gymnasium": means; "p_value": of a Kolmogorov-Smirnov test}}."""
    of_ours, of_theirs = ([track_statistics(points) for points in tracks] for tracks in (ours, theirs))
    compared = {}
    for name in of_ours[0]:
        a, b = ([row[name] for row in rows] for rows in (of_ours, of_theirs))
        p_value = stats.ks_2samp(a, b).pvalue
        compared[name] = {"ours": float(np.mean(a)), "gymnasium": float(np.mean(b)), "p_value": float(p_value)}
    return compared


def action_sequences(steps: int) -> dict[str, np.ndarray]:
    """Returns action sequences (steps, 3) by name."""
    time = np.arange(steps)
    zero, one = np.zeros(steps), np.ones(steps)
    rng = np.random.default_rng(0)
    held = np.repeat(rng.uniform([-1, 0, 0], [1, 1, 1], (-(-steps // 5), 3)), 5, axis=0)[:steps]
    return {
        "gentle": np.stack([0.1 * np.sin(time / 20), 0.15 * one, zero], axis=1),
        "full gas": np.stack([zero, one, zero], axis=1),
        "braking": np.where((time < 60)[:, None], [0.2, 1.0, 0.0], [0.3, 0.0, 0.8]),
        "skidding": np.stack([0.6 * (time > 30), one, zero], axis=1),
        "full lock": np.stack([np.sign(np.sin(time / 15)), 0.2 * one, zero], axis=1),
        "held uniform": held,
        "held uniform, little brake": held * [1, 1, 0.2],
    }


@jax.jit
def drive_ours(track: Track, actions: jax.Array) -> Rollout:
    """Drives with given actions (T, 3); records position (T, 2), on_road (T, 4) and rewards (T,), as for gymnasium."""
    params = EnvParams(max_steps_in_episode=len(actions))

    def record(state, action, reward, after):
        return hull_position(after.car), after.on_road, reward

    policy, first = open_loop(actions), reset(track, params)
    key = jax.random.key(0)  # not used: the drive is deterministic
    return rollout(lambda now, action, _: step(track, now, action, params), policy, first, 0, key, len(actions), record)


def compare_drive(ours: Rollout, theirs: Any) -> dict[str, Any]:
    """Compares our drive with gymnasium's (`peers.gymnasium_racing.Drive`) for the same actions.

    Returns:
      {"apart": {step: distance between the cars relative to the distance that gymnasium's has driven}, "tiles": number
      visited by only one of them, "reward": largest difference in a step, "lengths": of both}.
    """
    steps = len(theirs.rewards)
    position, _, rewards = (np.asarray(record)[:steps] for record in ours.records)
    way = np.linalg.norm(np.diff(theirs.positions, axis=0), axis=1).cumsum()
    apart = np.linalg.norm(position - theirs.positions[1:], axis=1) / np.maximum(way, 0.1)
    visited = np.asarray(ours.state.visited)[: len(theirs.visited)]
    return {
        "apart": {at: float(apart[at - 1]) for at in COMPARED_AT if at <= steps},
        "tiles": int((visited != theirs.visited).sum()),
        "reward": float(np.abs(rewards - theirs.rewards).max()),
        "lengths": (int(ours.length), steps),
    }


def compare_drives(games: Any, seeds: Iterable[int], steps: int) -> dict[str, dict[str, Any]]:
    """Returns the maxima of `compare_drive` over seeds for each of `action_sequences`; `games`: gymnasium_racing."""
    game, compared = games.BlindCarRacing(), {}
    for name, actions in action_sequences(steps).items():
        drives = []
        for seed in seeds:
            theirs = games.drive(game, seed, lambda _, number, actions=actions: actions[number], steps)
            ours = drive_ours(load_track(theirs.points), jnp.asarray(actions, jnp.float32))
            drives.append(compare_drive(ours, theirs))
        lasting = [at for at in COMPARED_AT if all(at in drive["apart"] for drive in drives)]
        compared[name] = {
            "apart": {at: max(drive["apart"][at] for drive in drives) for at in lasting},
            **{measure: max(drive[measure] for drive in drives) for measure in ("tiles", "reward")},
        }
    return compared


def _random(actions: Callable[[jax.Array], jax.Array]) -> Callable:
    return jax.jit(lambda number: actions(jax.random.key(number)))


# name -> (seed -> actions (STEPS, 3) of an episode)
OPEN_LOOP = {
    "nothing": lambda number: jnp.zeros((STEPS, 3)),
    "full gas": lambda number: jnp.tile(jnp.array([0.0, 1.0, 0.0]), (STEPS, 1)),
    "held uniform, 5 steps": _random(lambda key: policies.held_uniform(key, STEPS, 5)),
    "book 2020, 5 steps": _random(lambda key: policies.book_2020(key, STEPS, 5)),
    "brownian": _random(lambda key: policies.brownian(key, STEPS)),
}


@jax.jit
def pursue(track: Track) -> Rollout:
    """Drives an episode with `policies.pure_pursuit`."""
    params = EnvParams(max_steps_in_episode=STEPS)

    def policy(memory, state, key):
        return memory, policies.pure_pursuit(track, state.car)

    first, key = reset(track, params), jax.random.key(0)  # not used: the drive is deterministic
    return rollout(lambda now, action, _: step(track, now, action, params), policy, first, 0, key, STEPS)


def compare_scores(games: Any, names: Iterable[str], seeds: Iterable[int]) -> dict[str, dict[str, list[float]]]:
    """Returns {policy: {"ours", "gymnasium": returns of the episodes}}; policies are OPEN_LOOP's and "pure pursuit"."""
    game, scores = games.BlindCarRacing(), {}
    pursuit = jax.jit(policies.pure_pursuit)
    for name in names:
        scores[name] = {"ours": [], "gymnasium": []}
        for seed in seeds:
            if name == "pure pursuit":
                game.reset(seed=seed)
                track = load_track(games.track_points(game))
                ours = pursue(track)
                theirs = games.drive(game, seed, lambda game, _, track=track: pursuit(track, load_car(game)), STEPS)
            else:
                actions = np.asarray(OPEN_LOOP[name](seed))
                theirs = games.drive(game, seed, lambda _, number, actions=actions: actions[number], STEPS)
                ours = drive_ours(load_track(theirs.points), actions)
            scores[name]["ours"].append(float(ours.returned))
            scores[name]["gymnasium"].append(float(theirs.rewards.sum()))
    return scores


def _mean_and_std(values: list[float]) -> str:
    return f"{np.mean(values):.1f} ± {np.std(values):.1f}"


def tables(results: dict[str, Any]) -> str:
    """Returns the three tables as Markdown."""
    tracks = [
        [name.replace("_", " "), *(f"{row[column]:.4g}" for column in ("ours", "gymnasium", "p_value"))]
        for name, row in results["tracks"].items()
    ]
    drives = [
        [
            name,
            *(f"{row['apart'].get(at, np.nan):.3%}" for at in COMPARED_AT),
            f"{row['tiles']}",
            f"{row['reward']:.2g}",
        ]
        for name, row in results["drives"].items()
    ]
    scores = [
        [
            name,
            _mean_and_std(row["ours"]),
            _mean_and_std(row["gymnasium"]),
            f"{np.mean(row['ours']) - np.mean(row['gymnasium']):+.2f}",
        ]
        for name, row in results["scores"].items()
    ]
    apart = [f"apart after {at} steps" for at in COMPARED_AT]
    return "\n".join(
        [
            as_table(["tracks", "gdl_jax", "gymnasium", "p-value"], tracks),
            as_table(["drives", *apart, "tiles", "reward"], drives),
            as_table(["scores", "gdl_jax", "gymnasium", "difference"], scores),
        ]
    )


def _main(values: flags.FlagValues) -> None:
    for package in ("gymnasium", "Box2D"):
        locate(package, "worlds")
    from experiments.bench.peers import gymnasium_racing as games

    theirs, failed = games.make_tracks(values.seed, values.tracks)
    seeds = range(values.seed, values.seed + values.episodes)
    results = {
        "tracks": compare_tracks(make_points(values.seed, values.tracks), theirs),
        "gymnasium_failed_share": failed,
        "drives": compare_drives(games, seeds[:3], 300),
        "scores": compare_scores(games, [*OPEN_LOOP, "pure pursuit"], seeds),
    }
    sys.stdout.write(tables(results))
    versions = {name: importlib.metadata.version(name) for name in ("jax", "gymnasium", "box2d")}
    setting = {"tracks": values.tracks, "episodes": values.episodes, "seed": values.seed}
    path = Path(values.out)
    write_json(path, {"setting": setting, "machine": platform.machine(), "versions": versions} | results)
    sys.stderr.write(f"{path}\n")


def main(argv=None) -> None:
    """Runs `python -m experiments.studies.car_racing_fidelity`."""
    values = command.new_flags()
    flags.DEFINE_integer("tracks", 500, "tracks of each game", lower_bound=2, flag_values=values)
    flags.DEFINE_integer("episodes", 30, "episodes of each policy", lower_bound=1, flag_values=values)
    flags.DEFINE_integer("seed", 1, "first seed of the tracks of both games", lower_bound=0, flag_values=values)
    command.define_path("out", "runs/car_racing_fidelity.json", "JSON file to write", values)
    command.run(_main, __doc__, values, sys.argv if argv is None else argv)


if __name__ == "__main__":
    main()
