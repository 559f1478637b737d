"""Image folders: which files count, in which order, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.data.writers import images_and_labels, picture

from normlab.data.pictures import Pictures, decode_picture
from normlab.specs.strict import InputError

IMAGE = images_and_labels(1, 1, seed=3)[0][0]


def encoded(mode: str, kind: str = "PNG", size: tuple[int, int] = (32, 32)) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(IMAGE.transpose(1, 2, 0)).convert(mode).resize(size).save(stream, kind)
    return stream.getvalue()


def test_lossless_images_of_the_right_size_keep_their_pixels():
    for kind in ("PNG", "BMP", "PPM", "TIFF"):
        pixels, jpeg = decode_picture(picture(IMAGE, kind), "x")
        assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(32, 32, 3).transpose(2, 0, 1), IMAGE)
        assert not jpeg
    assert decode_picture(picture(IMAGE, "JPEG"), "x")[1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_become_rgb(mode: str):
    pixels, _ = decode_picture(encoded(mode), "x")
    expected = Image.open(io.BytesIO(encoded(mode))).convert("RGBA").convert("RGB").tobytes()
    assert pixels == expected


def test_other_sizes_are_resized():
    pixels, _ = decode_picture(encoded("RGB", size=(50, 20)), "x")
    small = Image.open(io.BytesIO(encoded("RGB", size=(50, 20)))).resize((32, 32), Image.Resampling.BICUBIC)
    assert pixels == small.tobytes()


def test_damaged_unknown_and_huge_images_are_refused():
    whole = picture(IMAGE)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    for content in (b"", whole[: len(whole) // 2], whole[:60], bytes(damaged), svg, b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(InputError, match="x: a corrupt or unknown image; accepted: PNG, JPEG"):
            decode_picture(content, "x")
    stream = io.BytesIO()
    Image.new("1", (9000, 9000)).save(stream, "PNG")
    with pytest.raises(InputError, match="9000×9000 1 is not accepted"):
        decode_picture(stream.getvalue(), "x")
    stream = io.BytesIO()
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(stream, "PNG")
    with pytest.raises(InputError, match="32×32 I;16 is not accepted"):
        decode_picture(stream.getvalue(), "x")


def test_images_are_ordered_by_class_and_name_whatever_the_order_they_came_in():
    names = [f"top/train/{c}/{i}.png" for c in ("b", "a", "c") for i in (2, 0, 1)]
    shades = {name: np.full((3, 32, 32), 10 * index, dtype=np.uint8) for index, name in enumerate(names)}
    results = []
    for order in (names, sorted(names), names[::-1]):
        pictures = Pictures("x")
        for name in order:
            pictures.add(name, picture(shades[name]))
        assert pictures.classes("train") == ("a", "b", "c")
        results.append(pictures.arrays("train", ("a", "b", "c")))
    images, labels = results[0]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert np.array_equal(images, np.stack([shades[name] for name in sorted(names)]))
    assert all(np.array_equal(images, other) and np.array_equal(labels, same) for other, same in results)


def test_a_class_may_be_called_train():
    pictures = Pictures("x")
    for split in ("train", "test"):
        for name in ("train", "test"):
            pictures.add(f"{split}/{name}/0.png", picture(IMAGE))
    assert pictures.classes("train") == pictures.classes("test") == ("test", "train")


def test_misplaced_and_foreign_files():
    pictures = Pictures("x")
    for name in ("README.md", "train/labels.csv", "train/cat/Thumbs.db", "other/cat/0.png"):
        pictures.add(name, b"text")  # passed over
    assert pictures.empty
    for name, message in {
        "train/cat/notes.txt": "train/cat/notes.txt is not an image",
        "train/0.png": "images must lie in train/<class>/",
        "train/a/b/0.png": "images must lie in train/<class>/",
        "train/cat/0.png": "train/cat/0.png is a corrupt|x: train/cat/0.png: a corrupt",
    }.items():
        with pytest.raises(InputError, match=message):
            pictures.add(name, b"text")
    pictures.add("train/cat/0.png", picture(IMAGE))
    with pytest.raises(InputError, match=r"train/cat/0\.png occurs twice"):
        pictures.add("train/cat/0.png", picture(IMAGE))


def test_empty_classes_and_missing_splits():
    pictures = Pictures("x")
    pictures.add("train/cat/0.png", picture(IMAGE))
    with pytest.raises(InputError, match="no test/<class>/ folders; both train and test are needed"):
        pictures.classes("test")
    pictures.add("train/dog", None)
    with pytest.raises(InputError, match="class folder train/dog holds no images"):
        pictures.classes("train")
