"""Cartoon faces with exact attributes: the avataaars of the book's chapter 1, generated from a seed.

The package py_avataaars_no_png writes an avatar as SVG, and resvg_py renders it. A set is rendered once, by several
processes, and cached. Attributes describe the picture: a hair colour is 1 only if hair is visible, so never with a hat
or a bald head.
"""

import io
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from types import ModuleType

import numpy as np
from PIL import Image

from gdl_jax.core.extras import extra
from gdl_jax.core.progress import progress_bar
from gdl_jax.data.cache import cached_arrays
from gdl_jax.data.dataset import ArraySource, DataSet
from gdl_jax.data.images.pixels import to_float

VERSION = 1  # of the faces; part of the cache file's name
FACES_PER_WORKER = 50  # minimum: starting a process takes as long as rendering this many
BACKGROUND = (236, 240, 245)
WHOLE_VIEW, FACE_VIEW = 'viewBox="-6 0 274 280"', 'viewBox="14 0 236 236"'

HAIRSTYLES = {  # group -> (probability, top types)
    "Bald": (0.1, ("NO_HAIR",)),
    "Wearing_Hat": (0.08, ("HAT", "WINTER_HAT3")),
    "Long_Hair": (0.3, ("LONG_HAIR_STRAIGHT", "LONG_HAIR_STRAIGHT2", "LONG_HAIR_STRAIGHT_STRAND", "LONG_HAIR_BOB")),
    "Curly_Hair": (0.17, ("LONG_HAIR_CURLY", "LONG_HAIR_FRO", "LONG_HAIR_CURVY")),
    "Bun": (0.1, ("LONG_HAIR_BUN",)),
    "Short_Hair": (0.25, ("SHORT_HAIR_SHORT_FLAT", "SHORT_HAIR_SHORT_WAVED", "SHORT_HAIR_FRIZZLE")),
}
HAIR_COLORS = {
    "Black_Hair": "BLACK",
    "Blond_Hair": "BLONDE_GOLDEN",
    "Brown_Hair": "BROWN",
    "Pink_Hair": "PASTEL_PINK",
    "Red_Hair": "RED",
    "Gray_Hair": "SILVER_GRAY",
}
LEVELS = {  # factor -> {level: probability}
    "top_type": {top: share / len(tops) for share, tops in HAIRSTYLES.values() for top in tops},
    "hair_color": dict.fromkeys(HAIR_COLORS.values(), 1 / 6),
    "accessories_type": {"DEFAULT": 0.5}
    | dict.fromkeys(("ROUND", "PRESCRIPTION_02", "SUNGLASSES", "WAYFARERS"), 0.125),
    "facial_hair_type": {"DEFAULT": 0.7, "BEARD_LIGHT": 0.1, "BEARD_MEDIUM": 0.1, "MOUSTACHE_FANCY": 0.1},
    "mouth_type": {"SMILE": 0.4, "SERIOUS": 0.3, "SAD": 0.3},
    "eye_type": dict.fromkeys(("DEFAULT", "HAPPY", "SURPRISED", "SIDE", "CLOSE"), 0.2),
    "eyebrow_type": dict.fromkeys(("DEFAULT", "RAISED_EXCITED", "ANGRY", "FLAT_NATURAL"), 0.25),
    "skin_color": dict.fromkeys(("PALE", "LIGHT", "TANNED", "BROWN", "DARK_BROWN"), 0.2),
    "clothe_type": dict.fromkeys(("HOODIE", "OVERALL", "SHIRT_SCOOP_NECK", "SHIRT_V_NECK"), 0.25),
    "clothe_color": dict.fromkeys(
        ("BLACK", "BLUE_01", "GRAY_01", "PASTEL_GREEN", "PASTEL_ORANGE", "PINK", "RED", "WHITE"), 0.125
    ),
}
ENUMS = {  # factor -> the package's enum of its levels
    "top_type": "TopType",
    "hair_color": "HairColor",
    "accessories_type": "AccessoriesType",
    "facial_hair_type": "FacialHairType",
    "mouth_type": "MouthType",
    "eye_type": "EyesType",
    "eyebrow_type": "EyebrowType",
    "skin_color": "SkinColor",
    "clothe_type": "ClotheType",
    "clothe_color": "Color",
}
ATTRIBUTES = ("Eyeglasses", "Sunglasses", *HAIR_COLORS, *HAIRSTYLES, "Smiling", "Beard", "Moustache", "Hoodie")


@cache
def _packages() -> tuple[ModuleType, ModuleType]:
    """Returns the packages that write and render avatars, py_avataaars_no_png and resvg_py."""
    with extra("faces"):
        import py_avataaars_no_png as avataaars
        import resvg_py
        from jinja2 import Environment

    # The package recompiles its templates for every avatar, two thirds of the time; one shared environment avoids it.
    loader = avataaars.PackageLoader("py_avataaars_no_png", "templates")
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, autoescape=True)
    avataaars.Environment = lambda **options: environment
    return avataaars, resvg_py


def svg_of(factors: Mapping[str, str]) -> str:
    """Returns one avatar as SVG.

    Args:
      factors: factor -> level, as in LEVELS; other levels of the package's enums work too. A missing factor has the
        package's default. Facial hair has the colour of the hair.
    """
    avataaars, _ = _packages()
    chosen = {factor: getattr(avataaars, ENUMS[factor])[level] for factor, level in factors.items()}
    if "hair_color" in chosen:
        chosen["facial_hair_color"] = chosen["hair_color"]
    avatar = avataaars.PyAvataaar(
        style=avataaars.AvatarStyle.TRANSPARENT,
        hat_color=avataaars.Color.BLUE_03,
        minify=False,
        simplify=False,
        **chosen,
    )
    svg = avatar.render_svg().replace(WHOLE_VIEW, FACE_VIEW).replace('width="280px" height="280px"', "", 1)
    # All masks are plain white shapes; as clip paths they give the same pixels in three quarters of the time.
    return svg.replace("<mask ", "<clipPath ").replace("</mask>", "</clipPath>").replace('mask="url', 'clip-path="url')


def rasterize(svg: str, size: int, background: tuple[int, int, int] = BACKGROUND, **options: str) -> np.ndarray:
    """Renders a square SVG: (size, size, 3) uint8; `options` are those of resvg_py.svg_to_bytes."""
    _, resvg_py = _packages()
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True, **options)
    drawn = Image.open(io.BytesIO(bytes(png)))
    face = Image.new("RGBA", drawn.size, (*background, 255))
    face.alpha_composite(drawn.convert("RGBA"))
    return np.asarray(face.convert("RGB").resize((size, size)))


def render(factors: Mapping[str, str], size: int) -> np.ndarray:
    """Renders one avatar: (size, size, 3) uint8.

    Args:
      factors: as in `svg_of`.
      size: pixels a side.
    """
    return rasterize(svg_of(factors), size)


def draw_factors(count: int, seed: int) -> list[dict[str, str]]:
    """Samples the factors of the first `count` faces of a seed.

    No two faces look the same, and face i does not depend on `count`.
    """
    names = {factor: list(levels) for factor, levels in LEVELS.items()}
    bounds = {factor: np.cumsum(list(levels.values())) for factor, levels in LEVELS.items()}
    rng = np.random.default_rng(seed)
    faces, seen = [], set()
    while len(faces) < count:
        drawn = rng.random(len(LEVELS))
        face = {}
        for factor, place in zip(LEVELS, drawn, strict=True):
            face[factor] = names[factor][
                min(int(np.searchsorted(bounds[factor], place, "right")), len(names[factor]) - 1)
            ]
        hidden = not shows_hair(face) and face["facial_hair_type"] == "DEFAULT"
        looks = tuple(level for factor, level in face.items() if not (hidden and factor == "hair_color"))
        if looks not in seen:
            seen.add(looks)
            faces.append(face)
    return faces


def shows_hair(face: Mapping[str, str]) -> bool:
    """True if hair is visible on the head."""
    return face["top_type"] not in HAIRSTYLES["Bald"][1] + HAIRSTYLES["Wearing_Hat"][1]


def attributes_of(face: Mapping[str, str]) -> list[int]:
    """Returns the values, 0 or 1, of ATTRIBUTES."""
    values = {
        "Eyeglasses": face["accessories_type"] != "DEFAULT",
        "Sunglasses": face["accessories_type"] in ("SUNGLASSES", "WAYFARERS"),
        "Smiling": face["mouth_type"] == "SMILE",
        "Beard": face["facial_hair_type"].startswith("BEARD"),
        "Moustache": face["facial_hair_type"].startswith("MOUSTACHE"),
        "Hoodie": face["clothe_type"] == "HOODIE",
    }
    values |= {name: face["hair_color"] == color and shows_hair(face) for name, color in HAIR_COLORS.items()}
    values |= {name: face["top_type"] in tops for name, (_, tops) in HAIRSTYLES.items()}
    return [int(values[name]) for name in ATTRIBUTES]


def render_all(
    faces: Sequence[Mapping[str, str]], size: int, one: Callable[..., np.ndarray] = render, kind: str = "avatars"
) -> np.ndarray:
    """Renders many faces, in several processes: (N, size, size, 3) uint8.

    Args:
      faces: factors of each.
      size: pixels a side.
      one: (factors, size) -> an image; a function of a module.
      kind: plural noun for the progress bar.
    """
    _packages()  # report a missing package here rather than in a worker
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(processors, max(1, len(faces) // FACES_PER_WORKER))
    title = f"rendering {len(faces):,} {kind} of {size}x{size}; they are cached"
    if not sys.stderr.isatty():
        sys.stderr.write(title + "\n")
    progress = partial(progress_bar, total=len(faces), desc=title, unit="faces")
    if workers == 1:
        return np.stack([one(face, size) for face in progress(faces)])
    # spawn, since forking a process with JAX's threads can deadlock
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        return np.stack(list(progress(pool.map(partial(one, size=size), faces, chunksize=25))))


def load(count: int = 10_000, image_size: int = 128, seed: int = 0) -> DataSet:
    """Loads `count` faces: 80 % train, 10 % validation, 10 % test.

    Args:
      count: at least 10.
      image_size: pixels a side.
      seed: of the faces.
    """
    faces = draw_factors(count, seed)
    attributes = np.array([attributes_of(face) for face in faces], np.int8)
    name = f"avatars-{VERSION}-{count}-{image_size}-{seed}.npz"
    images = cached_arrays(name, lambda: {"image": render_all(faces, image_size)})["image"]
    first, second = int(count * 0.8), int(count * 0.9)
    sources = {}
    for split, part in (("train", slice(first)), ("validation", slice(first, second)), ("test", slice(second, None))):
        sources[split] = ArraySource({"image": images[part], "attributes": attributes[part]})
    return DataSet("avatars", **sources, transform=to_float, attributes=ATTRIBUTES, note="drawn, not photographed")
