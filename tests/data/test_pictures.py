"""Image folders: which files count, in which order, and what is refused."""

import io
import struct
import zlib

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
        decoded = decode_picture(picture(IMAGE, kind), "x")
        assert np.array_equal(np.frombuffer(decoded.pixels, np.uint8).reshape(32, 32, 3).transpose(2, 0, 1), IMAGE)
        assert not decoded.jpeg
    assert decode_picture(picture(IMAGE, "JPEG"), "x").jpeg


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_become_rgb(mode: str):
    pixels = decode_picture(encoded(mode), "x").pixels
    expected = Image.open(io.BytesIO(encoded(mode))).convert("RGBA").convert("RGB").tobytes()
    assert pixels == expected


def test_other_sizes_are_resized():
    decoded = decode_picture(encoded("RGB", size=(50, 20)), "x")
    small = Image.open(io.BytesIO(encoded("RGB", size=(50, 20)))).resize((32, 32), Image.Resampling.BICUBIC)
    assert decoded.pixels == small.tobytes()
    assert decoded.size == (50, 20)


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
    with pytest.raises(InputError, match="9000×9000 pixels; at most 67108864 are accepted"):
        decode_picture(stream.getvalue(), "x")
    stream = io.BytesIO()
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(stream, "PNG")
    with pytest.raises(InputError, match=r"x: mode I;16.*; accepted are 8 bits a channel, in the modes 1, L"):
        decode_picture(stream.getvalue(), "x")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


PNG = b"\x89PNG\r\n\x1a\n"
RAW = zlib.compress(bytes(32 * (1 + 32 * 6)))
DAMAGED = {
    "text that is no zlib": PNG + _chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
    + _chunk(b"zTXt", b"a\0\1" + b"x" * 9),
    "text that expands without bound": PNG + _chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
    + _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 26))),
    "a header cut short": PNG + _chunk(b"IHDR", b"\0\0\0\x20"),
    "a PPM of words": b"P6 many 32 255\n" + bytes(3072),
    "a PPM of too large a value": b"P6 32 32 99999999\n" + bytes(3072),
    "a PPM cut in its header": b"P6 32 ",
    "a TIFF without entries": b"II*\0\x08\0\0\0\0\0",
    "a TIFF whose entries lie elsewhere": b"II*\0\xff\xff\xff\x7f",
    "a BMP of another header": b"BM" + struct.pack("<IHHI", 70, 0, 0, 54) + struct.pack("<I", 3) + bytes(60),
    "a GIF cut short": b"GIF89a\x20\0\x20\0\xf7",
    "a WEBP of nothing": b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0",
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_every_decoder_s_complaint_is_the_same_line(kind: str):
    with pytest.raises(InputError, match="x: a corrupt or unknown image; accepted: PNG, JPEG"):
        decode_picture(DAMAGED[kind], "x")


DEEP = {
    "PNG": PNG
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0))
    + _chunk(b"IDAT", RAW)
    + _chunk(b"IEND", b""),
    "PPM": b"P6 32 32 65535\n" + bytes(6144),
    "PGM": b"P5 32 32 65535\n" + bytes(2048),
}


@pytest.mark.parametrize("kind", DEEP)
def test_sixteen_bits_are_refused_and_named(kind: str):
    with pytest.raises(InputError, match=r"x: mode .*; accepted are 8 bits a channel, in the modes 1, L, LA"):
        decode_picture(DEEP[kind], "x")


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_modes_that_are_not_pictures_are_refused_and_named(mode: str):
    stream = io.BytesIO()
    Image.new(mode, (32, 32)).save(stream, "TIFF")
    with pytest.raises(InputError, match=f"x: mode {mode}; accepted are"):
        decode_picture(stream.getvalue(), "x")


@pytest.mark.parametrize(
    "litter",
    [
        "thumbs.db", "Thumbs.db", "EHTHUMBS.DB", "Desktop.ini", "Icon\r", "@eaDir/0.ppm/SYNOPHOTO_THUMB_S.jpg",
        "$RECYCLE.BIN/0.png", "System Volume Information/x",
    ],
)  # fmt: skip
def test_what_systems_leave_behind_is_passed_over_and_counted(litter: str):
    pictures = Pictures("x")
    for split in ("train", "test"):
        pictures.add(f"{split}/icon/0.png", picture(IMAGE))
        pictures.add(f"{split}/icon/{litter}", b"text")
    if "/" in litter:
        pictures.add(f"train/{litter.partition('/')[0]}", None)
    assert pictures.classes("train") == pictures.classes("test") == ("icon",)
    assert pictures.notes == ("2 files that operating systems leave behind were passed over",)


def test_other_sizes_are_counted_or_refused_by_choice():
    pictures = Pictures("x")
    for size in ((32, 32), (64, 64), (50, 20)):
        pictures.add(f"train/cat/{size[0]}.png", encoded("RGB", size=size))
    assert pictures.notes == (
        "2 images of another size than 32×32 were resampled (bicubic); 1 of them were not square and are stretched",
    )
    strict = Pictures("x", resize=False)
    strict.add("train/cat/32.png", encoded("RGB"))
    assert strict.notes == ()
    with pytest.raises(InputError, match=r"x: train/cat/50.png: 50×20 pixels, and data.other_sizes is refuse"):
        strict.add("train/cat/50.png", encoded("RGB", size=(50, 20)))


@pytest.mark.parametrize("name", ["ch\udce2t", "a\nb", "a\x1b[31m"])
def test_a_class_whose_name_is_no_printable_text_is_refused(name: str):
    with pytest.raises(InputError, match="its name must be printable UTF-8 text; rename it") as caught:
        Pictures("x").add(f"train/{name}/0.png", picture(IMAGE))
    assert ascii(name) in str(caught.value)


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
