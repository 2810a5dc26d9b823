"""MNIST, CIFAR-10 and CelebA in each accepted layout."""

import io

import numpy as np
import pytest
from PIL import Image

from gdl_jax.core.errors import ConfigError, UserError
from gdl_jax.data import catalogue
from gdl_jax.data.images import celeba, cifar10

RNG = np.random.default_rng(0)


def everything(source):
    return source.take(np.arange(len(source)))


@pytest.mark.parametrize("place", ["mnist/mnist.npz", "mnist.npz"])
def test_mnist_layouts(tmp_path, place):
    images, labels = RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8), np.arange(12, dtype=np.uint8) % 3
    (tmp_path / place).parent.mkdir(exist_ok=True)
    np.savez(tmp_path / place, x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    data = catalogue.load("mnist", data_dir=str(tmp_path))
    np.testing.assert_array_equal(everything(data.train)["image"][..., 0], images)
    assert (data.name, len(data.classes), len(data.test), data.digest) == ("mnist", 10, 5, "")


def test_labels_that_are_no_digits_are_named(tmp_path):
    images = RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=np.arange(12), x_test=images, y_test=np.arange(12) % 10)
    with pytest.raises(UserError, match=r"mnist\.npz: .*11"):
        catalogue.load("mnist", data_dir=str(tmp_path))


def binary_records(labels, images):
    """Returns CIFAR-10's binary format, as its page describes it: label, 1,024 red, 1,024 green, 1,024 blue."""
    return b"".join(
        bytes([label]) + b"".join(image[:, :, channel].tobytes() for channel in range(3))
        for label, image in zip(labels, images, strict=True)
    )


@pytest.mark.parametrize("place", ["cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_cifar10_binary_files(tmp_path, place):
    images, labels = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), np.arange(12) % 10
    (tmp_path / place).mkdir(parents=True)
    for number, name in enumerate([*cifar10.TRAIN_BATCHES, *cifar10.TEST_BATCHES]):
        two = slice(2 * number, 2 * number + 2)
        (tmp_path / place / name).write_bytes(binary_records(labels[two], images[two]))
    data = catalogue.load("cifar10", data_dir=str(tmp_path))
    for source, rows in ((data.train, slice(10)), (data.test, slice(10, None))):
        np.testing.assert_array_equal(everything(source)["image"], images[rows])
        np.testing.assert_array_equal(everything(source)["label"], labels[rows])
    assert data.classes[7] == "horse" and data.note == ""

    for contents in (b"short", b"", bytes([10]) + bytes(3072)):
        (tmp_path / place / "test_batch.bin").write_bytes(contents)
        with pytest.raises(UserError, match=r"test_batch\.bin"):
            catalogue.load("cifar10", data_dir=str(tmp_path))
    (tmp_path / place / "data_batch_3.bin").unlink()
    with pytest.raises(UserError, match=r"data_batch_3\.bin"):
        catalogue.load("cifar10", data_dir=str(tmp_path))


def jpeg_arrays(images):
    files = []
    for image in images:
        files.append(io.BytesIO())
        Image.fromarray(image).save(files[-1], "JPEG", quality=75)
    contents = [file.getvalue() for file in files]
    return np.frombuffer(b"".join(contents), np.uint8), np.cumsum([0, *map(len, contents)])


def test_cifar10_jpegs_are_decoded_again_only_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "cache"))
    decode, decoded = cifar10.read_image, []
    monkeypatch.setattr(cifar10, "read_image", lambda *args, **options: decoded.append(1) or decode(*args, **options))
    flat = np.broadcast_to(RNG.integers(0, 256, (6, 1, 1, 3), dtype=np.uint8), (6, 32, 32, 3))  # JPEG keeps these
    labels = np.arange(6)

    def write(images):
        contents, offsets = jpeg_arrays(images)
        arrays = {"jpeg": contents, "offsets": offsets, "labels": labels}
        np.savez(tmp_path / "cifar10.npz", **{f"{s}_{n}": a for s in ("train", "test") for n, a in arrays.items()})

    for images in (flat, flat, flat[::-1]):
        write(images)
        data = catalogue.load("cifar10", data_dir=str(tmp_path))
        np.testing.assert_allclose(everything(data.train)["image"].astype(int), images, atol=3)
        np.testing.assert_array_equal(everything(data.test)["label"], labels)
    assert "JPEG" in data.note
    assert len(decoded) == 2 * 12  # both splits of the first and of the third file


def test_damaged_cifar10_jpegs_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GDL_JAX_CACHE", str(tmp_path / "cache"))
    contents, offsets = jpeg_arrays(RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8))
    whole = {"jpeg": contents, "offsets": offsets, "labels": np.arange(6)}
    damages = [
        {"offsets": offsets - offsets // 2},
        {"offsets": offsets[::-1]},
        {"offsets": offsets[:-1]},
        {"offsets": offsets + 0.5},
        {"offsets": np.int64(3)},
        {"jpeg": contents.astype(int)},
        {"labels": np.arange(5)},
        {"labels": np.arange(6) + 5},
    ]
    for damage in damages:
        arrays = whole | damage
        np.savez(tmp_path / "cifar10.npz", **{f"{s}_{n}": a for s in ("train", "test") for n, a in arrays.items()})
        with pytest.raises(UserError, match=r"cifar10\.npz: "):
            catalogue.load("cifar10", data_dir=str(tmp_path))
    np.savez(tmp_path / "cifar10.npz", train_jpeg=contents)
    with pytest.raises(UserError, match=r"cifar10\.npz: .*test_jpeg"):
        catalogue.load("cifar10", data_dir=str(tmp_path))


NAMES = [f"{number:06}.jpg" for number in range(1, 61)]
SIGNS = RNG.choice([-1, 1], (60, 3))


def write_celeba(base, attributes: str, partition: str = "", values=SIGNS):
    (base / "img_align_celeba").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.new("RGB", (17, 21), (number * 4,) * 3).save(base / "img_align_celeba" / name)
    header = ["Eyeglasses", "Smiling", "Young"]
    rows = [[name, *map(str, signs)] for name, signs in zip(NAMES, values, strict=True)]
    if attributes == "csv":
        lines = [",".join(row) for row in [["image_id", *header], *rows]]
    else:
        lines = ["60", " ".join(header) + " ", *("  ".join(row) for row in rows)]
    (base / f"list_attr_celeba.{attributes}").write_text("\n".join(lines) + "\n")
    splits = [number % 3 for number in range(60)]
    if partition == "csv":
        lines = ["image_id,partition", *(f"{name},{split}" for name, split in zip(NAMES, splits, strict=True))]
    else:
        lines = [f"{name} {split}" for name, split in zip(NAMES, splits, strict=True)]
    if partition:
        (base / f"list_eval_partition.{partition}").write_text("\n".join(lines))


def file_numbers(rows):
    return np.round(rows["image"][:, 0, 0, 0] / 4).astype(int).tolist()


@pytest.mark.parametrize(("place", "end"), [("", "txt"), ("celeba", "csv"), ("celeb", "csv")])
def test_celeba_layouts_with_the_official_partition(tmp_path, place, end):
    write_celeba(tmp_path / place, end, end)
    data = catalogue.load("celeba", data_dir=str(tmp_path), image_size=16)
    assert data.attributes == ("Eyeglasses", "Smiling", "Young")
    for number, split in enumerate(("train", "validation", "test")):
        rows = everything(getattr(data, split))
        assert file_numbers(rows) == list(range(number, 60, 3))
        np.testing.assert_array_equal(rows["attributes"], (SIGNS[number::3] + 1) // 2)


def test_celeba_without_a_partition_splits_by_name(tmp_path):
    write_celeba(tmp_path, "txt")
    data = catalogue.load("celeba", data_dir=str(tmp_path), image_size=16)
    found = [everything(source) for source in (data.train, data.validation, data.test)]
    assert sorted(number for rows in found for number in file_numbers(rows)) == list(range(60))
    for rows in found:
        np.testing.assert_array_equal(rows["attributes"], SIGNS[file_numbers(rows)] > 0)


def test_celeba_user_errors(tmp_path):
    write_celeba(tmp_path / "a", "txt", values=np.full((60, 3), 2))
    with pytest.raises(UserError, match=r"list_attr_celeba\.txt: 000001\.jpg"):
        catalogue.load("celeba", data_dir=str(tmp_path / "a"))
    write_celeba(tmp_path / "b", "csv", "csv")
    table = tmp_path / "b" / "list_eval_partition.csv"
    official = table.read_text()
    for split in ("3", "-1", "0.5", ""):
        table.write_text(official.replace("000007.jpg,0", f"000007.jpg,{split}"))
        with pytest.raises(UserError, match=r"list_eval_partition\.csv: 000007\.jpg"):
            catalogue.load("celeba", data_dir=str(tmp_path / "b"))
    Image.new("RGB", (17, 21)).save(tmp_path / "b" / "img_align_celeba" / "extra.jpg")
    with pytest.raises(UserError, match=r"extra\.jpg"):
        catalogue.load("celeba", data_dir=str(tmp_path / "b"))
    (tmp_path / "b" / "list_attr_celeba.csv").write_text("")
    with pytest.raises(UserError, match=r"list_attr_celeba\.csv"):
        celeba.read_attributes(tmp_path / "b" / "list_attr_celeba.csv")
    (tmp_path / "b" / "list_attr_celeba.csv").unlink()
    with pytest.raises(UserError, match="list_attr_celeba"):
        catalogue.load("celeba", data_dir=str(tmp_path / "b"))


@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_absent_sets_are_errors_that_say_what_is_looked_for(tmp_path, name):
    with pytest.raises(ConfigError, match=f"^dataset={name}: .*data_dir"):
        catalogue.load(name)
    with pytest.raises(ConfigError, match=f"^data_dir={tmp_path}: .*TFDS.* dataset={name}"):
        catalogue.load(name, data_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=r"^data_dir=.*/absent: "):
        catalogue.load(name, data_dir=str(tmp_path / "absent"))


def test_a_data_directory_that_cannot_be_looked_into_is_named(tmp_path):
    name = "x" * 300  # too long for a file's name, which is an OSError as missing permission is
    with pytest.raises(ConfigError, match=f"^data_dir=.*{name}: "):
        catalogue.load("mnist", data_dir=str(tmp_path / name))


@pytest.mark.slow
def test_the_real_mnist(data_dir):
    data = catalogue.load("mnist", data_dir=str(data_dir))
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    rows = everything(data.train)
    assert rows["label"][:5].tolist() == [5, 0, 4, 1, 9]  # as everyone's MNIST begins
    assert rows["image"].mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert rows["image"].std() / 255 == pytest.approx(0.3081, abs=1e-4)


@pytest.mark.slow
def test_the_real_cifar10(data_dir):
    data = catalogue.load("cifar10", data_dir=str(data_dir))
    train, test = everything(data.train), everything(data.test)
    assert np.bincount(train["label"]).tolist() == [5000] * 10 and np.bincount(test["label"]).tolist() == [1000] * 10
    means = train["image"].mean((0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=2e-3)  # of the original pixels
