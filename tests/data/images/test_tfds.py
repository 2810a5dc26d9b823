"""TFDS sets: written in TFDS's own format, read back without TensorFlow."""

import dataclasses
import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data import catalogue
from gdl_jax.data.dataset import has_labels_in_memory
from gdl_jax.data.images.domains import by_domains

tfds = pytest.importorskip("tensorflow_datasets")
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 12, 10, 3), dtype=np.uint8)
LABELS = np.arange(20) % 3
FLAGS = {"Eyeglasses": (LABELS == 1).astype(int), "Young": (LABELS > 0).astype(int)}


def write(root, name, version, splits, shape=(12, 10, 3), flags=FLAGS, images=IMAGES):
    """Writes a prepared set: features, dataset_info.json and one ArrayRecord file a split; `splits`: name -> rows."""
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    directory = root / name / version
    directory.mkdir(parents=True)
    flag = tfds.features.Tensor(shape=(), dtype=np.bool_)
    tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=shape),
            "label": tfds.features.ClassLabel(names=["ant", "bee", "cat"]),
            "attributes": dict.fromkeys(flags, flag),
        }
    ).save_config(str(directory))
    notes = {"name": name, "version": version, "fileFormat": "array_record", "moduleName": "any", "splits": []}
    for split, rows in splits.items():
        writer = ArrayRecordWriter(str(directory / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for row in rows:
            encoded = io.BytesIO()
            Image.fromarray(images[row]).save(encoded, "PNG")
            example = tf_example_pb2.Example()
            feature = example.features.feature
            feature["image"].bytes_list.value.append(encoded.getvalue())
            feature["label"].int64_list.value.append(LABELS[row])
            for attribute, values in flags.items():
                feature[f"attributes/{attribute}"].int64_list.value.append(values[row])
            writer.write(example.SerializeToString())
        writer.close()
        notes["splits"].append(
            {
                "name": split,
                "shardLengths": [str(len(rows))],
                "numBytes": "1",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    (directory / "dataset_info.json").write_text(json.dumps(notes))


def rows_of(source):
    return source.take(np.arange(len(source)))


def test_a_set_with_all_splits(tmp_path):
    parts = {"train": np.arange(12), "validation": np.arange(12, 15), "test": np.arange(15, 20)}
    write(tmp_path, "own", "1.0.0", parts)
    data = catalogue.load("tfds:own", data_dir=str(tmp_path))
    assert (data.classes, data.attributes) == (("ant", "bee", "cat"), ("Eyeglasses", "Young"))
    for split, index in parts.items():
        rows = rows_of(getattr(data, split))
        np.testing.assert_array_equal(rows["image"], IMAGES[index])
        np.testing.assert_array_equal(rows["label"], LABELS[index])
        assert not has_labels_in_memory(getattr(data, split))
        np.testing.assert_array_equal(getattr(data, split).labels(), LABELS[index])
        assert has_labels_in_memory(getattr(data, split))
        np.testing.assert_array_equal(rows["attributes"], np.stack(list(FLAGS.values()), 1)[index])
    assert data.train.nbytes == IMAGES[:12].nbytes
    np.testing.assert_array_equal(data.train.take(np.array([7, 2]))["image"], IMAGES[[7, 2]])
    assert "tensorflow" not in sys.modules


def test_without_a_test_split_the_end_of_train_is_held_out(tmp_path):
    write(tmp_path, "own", "1.0.0", {"train": np.arange(20)}, shape=(None, None, 3))
    with pytest.raises(ConfigError, match=r"^dataset=tfds:own: .*image_size"):
        catalogue.load("tfds:own", data_dir=str(tmp_path))
    data = catalogue.load("tfds:own", data_dir=str(tmp_path), image_size=6)
    assert rows_of(data.train)["image"].shape == (18, 6, 6, 3)
    np.testing.assert_array_equal(rows_of(data.test)["label"], LABELS[18:])
    assert data.validation is None


def test_cifar10_is_found_where_tfds_prepared_it(tmp_path):
    version = str(tfds.builder_cls("cifar10").VERSION)
    write(tmp_path, "cifar10", version, {"train": np.arange(12), "test": np.arange(14, 20)})
    data = catalogue.load("cifar10", data_dir=str(tmp_path), image_size=12)
    assert (data.name, data.classes[7]) == ("cifar10", "horse")
    np.testing.assert_array_equal(rows_of(data.test)["label"], LABELS[14:])


def test_celeba_is_found_where_tfds_prepared_it(tmp_path):
    names = list(tfds.builder("celeb_a", data_dir=str(tmp_path)).info.features["attributes"])
    flags = {name: RNG.integers(0, 2, 20) for name in names}
    version = str(tfds.builder_cls("celeb_a").VERSION)
    parts = {"train": np.arange(12), "validation": np.arange(12, 15), "test": np.arange(15, 20)}
    write(tmp_path, "celeb_a", version, parts, flags=flags)
    data = catalogue.load("celeba", data_dir=str(tmp_path))
    assert (data.name, len(data.attributes), len(data.validation)) == ("celeba", 40, 3)
    rows = rows_of(data.test)
    assert rows["image"].shape == (5, 64, 64, 3)
    for name in names:
        np.testing.assert_array_equal(rows["attributes"][:, data.attributes.index(name)], flags[name][15:])
    smiling = by_domains(dataclasses.replace(data, validation=None, test=None), "Smiling", "-Smiling").train
    assert sorted(smiling.a.index) == np.flatnonzero(flags["Smiling"][:12]).tolist()
    assert len(smiling.a) + len(smiling.b) == 12


@pytest.mark.parametrize("name", ["mnist", "no_such_set"])
def test_for_a_set_that_is_not_prepared_the_error_says_how(tmp_path, name):
    with pytest.raises(ConfigError, match=f"^dataset=tfds:{name}: .*{tmp_path}.*builder.*{name}") as raised:
        catalogue.load(f"tfds:{name}", data_dir=str(tmp_path))
    assert "\n" not in str(raised.value)


def test_without_the_package_it_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=r"tensorflow_datasets .*tfds"):
        catalogue.load("tfds:mnist")


def test_the_digest_follows_the_records_not_the_path(tmp_path):
    digests = []
    for place, images, count in (("a", IMAGES, 20), ("b", IMAGES, 20), ("c", IMAGES[::-1], 20), ("d", IMAGES, 19)):
        write(tmp_path / place, "own", "1.0.0", {"train": np.arange(count)}, images=images)
        digests.append(catalogue.load("tfds:own", data_dir=str(tmp_path / place)).digest)
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_damaged_records_are_named(tmp_path):
    write(tmp_path, "own", "1.0.0", {"train": np.arange(20)})
    data = catalogue.load("tfds:own", data_dir=str(tmp_path))
    (path,) = tmp_path.glob("own/1.0.0/*.array_record*")
    contents = np.frombuffer(path.read_bytes(), np.uint8).copy()
    used = np.flatnonzero(contents)  # the rest is padding
    contents[used[len(used) // 4 : len(used) // 2]] ^= 255
    path.write_bytes(contents)
    with pytest.raises(UserError, match=r"tfds:own"):
        catalogue.load("tfds:own", data_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"tfds:own: train: record \d"):
        rows_of(data.train)
