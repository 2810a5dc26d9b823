"""Data sets of two domains of images, for image translation: unpaired images, or pairs.

Rows are {"a", "b": uint8 (N, H, W, C), "a_first", "b_first": uint8 (N,)}. A row's `a_first` is 1 where its image of
domain A occurs for the first time in the split, else 0: means weighted by it count every image once, though the smaller
domain is repeated. Where images have attributes, rows have them too: pairs "attributes", unpaired images "a_attributes"
and "b_attributes", int8 (N, A) in {0, 1}.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gdl_jax.core.errors import ConfigError
from gdl_jax.data.dataset import DataSet, Rows, Source, Subset, attributes_of
from gdl_jax.data.images.folder import SPLITS


@dataclass(frozen=True)
class TwoDomains(DataSet):
    """A data set of two domains of images, A and B.

    Attributes:
      domains: names of A and B.
      paired: True if the two images of a row belong together.
    """

    domains: tuple[str, str] = ("A", "B")
    paired: bool = False


def to_float(rows: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a learner's batch: "a", "b" uint8 0..255 -> float32 in [0, 1]; other columns -> float32. Pure JAX."""
    batch = {name: array.astype(jnp.float32) for name, array in rows.items()}
    return batch | {"a": batch["a"] / 255.0, "b": batch["b"] / 255.0}


@dataclass(frozen=True)
class Unpaired:
    """Source whose row i is image i of both domains; the smaller domain is repeated, and no image is left out.

    Images of domains of one size thus meet the same partner in each epoch. CycleGAN's losses do not compare the two.

    Attributes:
      a, b: sources of rows {"image"}, with or without "attributes"; images of one size.
    """

    a: Source
    b: Source

    def __post_init__(self):
        if not (len(self.a) and len(self.b)):
            raise ValueError(f"a domain is empty: {len(self.a)} and {len(self.b)} images")

    @property
    def nbytes(self) -> int:
        return len(self) * (self.a.nbytes // len(self.a) + self.b.nbytes // len(self.b) + 2)

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def take(self, indices: np.ndarray) -> Rows:
        rows = {}
        for domain, source in (("a", self.a), ("b", self.b)):
            taken = source.take(indices % len(source))
            rows[domain] = taken["image"]
            rows[f"{domain}_first"] = (indices < len(source)).astype(np.uint8)
            if "attributes" in taken:
                rows[f"{domain}_attributes"] = taken["attributes"]
        return rows

    def labels(self) -> np.ndarray:
        raise KeyError("label")


@dataclass(frozen=True)
class Paired:
    """Source whose row i is image i of A and its counterpart, image i of B.

    Attributes:
      a, b: sources of rows {"image"}, of equal length; B's may have "attributes", which the pair then has.
    """

    a: Source
    b: Source

    def __post_init__(self):
        if len(self.a) != len(self.b):
            raise ValueError(f"pairs need as many images of A as of B: {len(self.a)} and {len(self.b)}")

    @property
    def nbytes(self) -> int:
        return self.a.nbytes + self.b.nbytes + 2 * len(self)

    def __len__(self) -> int:
        return len(self.a)

    def take(self, indices: np.ndarray) -> Rows:
        a, b = self.a.take(indices)["image"], self.b.take(indices)
        first = np.ones(len(indices), np.uint8)
        others = {name: array for name, array in b.items() if name == "attributes"}
        return {"a": a, "b": b["image"], "a_first": first, "b_first": first, **others}

    def labels(self) -> np.ndarray:
        raise KeyError("label")


def _swap_names(rows: Rows) -> Rows:
    """Returns rows with the columns "a", "a_..." and "b", "b_..." exchanged."""
    other = {"a": "b", "b": "a"}
    parts = {name: name.partition("_") for name in rows}
    return {other.get(first, first) + line + rest: rows[name] for name, (first, line, rest) in parts.items()}


@dataclass(frozen=True)
class Swapped:
    """Source of the rows of another source with A and B exchanged."""

    source: Source

    @property
    def nbytes(self) -> int:
        return self.source.nbytes

    def __len__(self) -> int:
        return len(self.source)

    def take(self, indices: np.ndarray) -> Rows:
        return _swap_names(self.source.take(indices))

    def labels(self) -> np.ndarray:
        raise KeyError("label")


def swapped(data: TwoDomains) -> TwoDomains:
    """Returns a data set with A and B exchanged; no row is read."""
    sources = {split: getattr(data, split) for split in SPLITS}
    splits = {split: None if source is None else Swapped(source) for split, source in sources.items()}
    row = None if data.row is None else _swap_names(data.row)
    return dataclasses.replace(data, **splits, row=row, domains=data.domains[::-1])


def images_of(source: Source, domain: str, limit: int) -> np.ndarray:
    """Returns the first images of domain "a" or "b" of a source of two domains, each once, at most `limit`.

    Images of the other domain are not read where they lie apart.
    """
    if isinstance(source, Swapped):
        return images_of(source.source, {"a": "b", "b": "a"}[domain], limit)
    if isinstance(source, Unpaired | Paired):
        images = source.a if domain == "a" else source.b
        return images.take(np.arange(min(limit, len(images))))["image"]
    rows = source.take(np.arange(min(limit, len(source))))
    return rows[domain][rows[f"{domain}_first"] > 0]


def split_off(source: Unpaired, split: Callable[[Source], tuple[Source, Source]]) -> tuple[Unpaired, Unpaired]:
    """Returns two parts of a source with no image in common; `split` divides the images of one domain."""
    (a, other_a), (b, other_b) = split(source.a), split(source.b)
    return Unpaired(a, b), Unpaired(other_a, other_b)


class Condition(NamedTuple):
    """A condition on images: having, or not having, one attribute or class.

    Attributes:
      column: "attributes" or "label".
      index: of the attribute or class.
      has: False if images must not have it.
      name: in words.
    """

    column: str
    index: int
    has: bool
    name: str

    def rows(self, source: Source) -> np.ndarray:
        """Returns the indices of a source's rows that meet the condition."""
        if self.column == "attributes":
            has = attributes_of(source)[:, self.index] > 0
        else:
            has = source.labels() == self.index
        return np.flatnonzero(has == self.has)


def _condition(data: DataSet, domain: str, domains: tuple[str, str]) -> Condition:
    """Returns the condition that a domain's name stands for.

    Raises:
      ConfigError: the set has no such attribute or class; names domains.
    """
    for name, has in ((domain, True), (domain.removeprefix("-"), False)):
        for column, names in (("attributes", data.attributes), ("label", data.classes)):
            if name in names:
                return Condition(column, names.index(name), has, name if has else f"without {name}")
    known = ", ".join((*data.attributes, *data.classes))
    reason = f"has no attribute or class {domain!r}; it has {known}" if known else "has neither attributes nor classes"
    raise ConfigError("domains", domains, f"{data.name} {reason}")


def by_domains(data: DataSet, a: str, b: str) -> TwoDomains:
    """Returns the images of a data set with one attribute or class as domain A, those with another as domain B.

    Args:
      data: images with attributes or classes.
      a, b: name of an attribute or a class; after a minus, of one that the images do not have ("-Eyeglasses").

    Raises:
      ConfigError: the set has no such attribute or class, or a split has no image of a domain; names domains.
    """
    domains = (a, b)
    if isinstance(data, TwoDomains):
        raise ConfigError("domains", domains, f"{data.name} has domains of its own, {' and '.join(data.domains)}")
    conditions = [_condition(data, domain, domains) for domain in domains]
    if a == b:
        raise ConfigError("domains", domains, "the two domains must differ")
    splits, note = {}, data.note
    for split in SPLITS:
        if (source := getattr(data, split)) is None:
            continue
        rows = [condition.rows(source) for condition in conditions]
        if empty := [domain for domain, index in zip(domains, rows, strict=True) if not len(index)]:
            raise ConfigError("domains", domains, f"no image of the {split} split of {data.name} is in {empty[0]}")
        splits[split] = Unpaired(*(Subset(source, index) for index in rows))
        if split == "train" and (shared := len(np.intersect1d(*rows))):
            in_both = f"{shared:,} training images are in both domains"
            sys.stderr.write(f"{data.name}: {in_both}, {a} and {b}\n")
            note = "; ".join(filter(None, [note, in_both]))
    kept = {"attributes": data.attributes, "note": note, "digest": data.digest, "check": data.check}
    names = (conditions[0].name, conditions[1].name)
    return TwoDomains(data.name, **{"test": None} | splits, **kept, transform=to_float, domains=names)
