"""The data sets known by name: fast.ai's image collections, where they are and how to recognise their archives.

Sizes and checksums (MD5 of the first MiB) are those that fast.ai publishes in its `download_checks`. Imports nothing
heavy, so that reading a configuration can ask "did you mean PETS?".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownDataset:
    """One data set that a name stands for."""

    name: str
    url: str
    size: int | None
    """Bytes of the archive."""
    md5_first_mib: str | None
    """MD5 of the archive's first 1,048,576 bytes."""
    sha256: str | None
    """SHA-256 of the whole archive, where it is known."""
    folder: str
    """Name of the folder that the archive is extracted to, as in fastai."""
    description: str
    bundled: str | None = None
    """Name of the copy that ships in the package."""


_BUCKET = "https://s3.amazonaws.com/fast-ai-"
_BUNDLED = {"MNIST_SAMPLE": "mnist_sample.tgz"}

# name, bucket/archive, bytes, MD5 of the first MiB, description
_TABLE: list[tuple[str, str, int, str, str]] = [
    ("BIWI_HEAD_POSE", "imagelocal/biwi_head_pose.tgz", 452316199, "00f4ccf66e8cba184bc292fdc08fb237",
     "heads and the position of their centre, 15,000 frames"),
    ("BIWI_SAMPLE", "sample/biwi_sample.tgz", 593774, "9179f4c1435f4b291f0d5b072d60c2c9",
     "200 frames of BIWI_HEAD_POSE"),
    ("CALTECH_101", "imageclas/caltech_101.tgz", 131740031, "d673425306e98ee4619fcdeef8a0e876",
     "objects of 101 kinds, 9,000 photographs"),
    ("CAMVID", "imagelocal/camvid.tgz", 598913237, "648371e4f3a833682afb39b08a3ce2aa",
     "street scenes with masks of 32 classes, 701 frames"),
    ("CAMVID_TINY", "sample/camvid_tiny.tgz", 2314212, "2cf6daf91b7a2083ecfa3e9968e9d915",
     "100 small frames of CAMVID"),
    ("CARS", "imageclas/stanford-cars.tgz", 1957803273, "9045d6673c9ced0889f41816f6bf2f9f",
     "196 models of cars, 16,185 photographs"),
    ("CIFAR", "sample/cifar10.tgz", 168168549, "a5f8c31371b63a406b23368042812d3c",
     "CIFAR-10: 10 classes, 60,000 images of 32 pixels"),
    ("CIFAR_100", "imageclas/cifar100.tgz", 169168619, "e5e65dcb54b9d3913f7b8a9ad6607e62",
     "CIFAR-100: 100 classes, 60,000 images of 32 pixels"),
    ("COCO_SAMPLE", "coco/coco_sample.tgz", 3245877008, "006cd55d633d94b36ecaf661467830ec",
     "a sample of COCO 2017 with boxes"),
    ("COCO_TINY", "coco/coco_tiny.tgz", 801038, "367467451ac4fba79a647753c2c66d3a",
     "a tiny sample of COCO 2017 with boxes"),
    ("CUB_200_2011", "imageclas/CUB_200_2011.tgz", 1150585339, "d2acaa99439dff0483c7bbac1bfe2a92",
     "200 species of birds, 11,788 photographs"),
    ("DOGS", "sample/dogscats.tgz", 839285364, "3e483c8d6ef2175e9d395a6027eb92b7",
     "cats and dogs of the Kaggle competition, 25,000 photographs"),
    ("FLOWERS", "imageclas/oxford-102-flowers.tgz", 345236087, "5666e01c1311b4c67fcf20d2b3850a88",
     "Oxford 102 flowers, 8,189 photographs"),
    ("FOOD", "imageclas/food-101.tgz", 5686607260, "1a540ebf1fb40b2bf3f2294234ba7907",
     "101 dishes, 101,000 photographs"),
    ("IMAGENETTE", "imageclas/imagenette2.tgz", 1557161267, "2c774ecb40005b35d7937d50f5d42336",
     "10 easy classes of ImageNet, full size"),
    ("IMAGENETTE_160", "imageclas/imagenette2-160.tgz", 99003388, "c475f8f7617a200ba35b9facc48443c3",
     "10 easy classes of ImageNet, short side 160 pixels"),
    ("IMAGENETTE_320", "imageclas/imagenette2-320.tgz", 341663724, "1f1f74f133caff120e575856659b87a2",
     "10 easy classes of ImageNet, short side 320 pixels"),
    ("IMAGEWANG", "imageclas/imagewang.tgz", 2900347689, "2b7776bac0fc95db72ac8a3b091a3e30",
     "Imagenette and Imagewoof with unlabelled images, full size"),
    ("IMAGEWANG_160", "imageclas/imagewang-160.tgz", 191498213, "dab9b1d97b95574ac64122a19bc74ca1",
     "Imagenette and Imagewoof with unlabelled images, short side 160 pixels"),
    ("IMAGEWANG_320", "imageclas/imagewang-320.tgz", 669826647, "fff8ac034d60e14fcf7789845e625263",
     "Imagenette and Imagewoof with unlabelled images, short side 320 pixels"),
    ("IMAGEWOOF", "imageclas/imagewoof2.tgz", 1343715595, "2cc1c1e36e20cb6fd24ffb978edcb487",
     "10 breeds of dogs of ImageNet, full size"),
    ("IMAGEWOOF_160", "imageclas/imagewoof2-160.tgz", 92612825, "3559b194123981a540b87132dbda412f",
     "10 breeds of dogs of ImageNet, short side 160 pixels"),
    ("IMAGEWOOF_320", "imageclas/imagewoof2-320.tgz", 328387740, "7a1fd92672a559a85de76e4810a20c21",
     "10 breeds of dogs of ImageNet, short side 320 pixels"),
    ("LSUN_BEDROOMS", "imageclas/bedroom.tgz", 4579163978, "35d84f38f8a15fe47e66e460c8800d68",
     "bedrooms, 20 % of LSUN's photographs"),
    ("MNIST", "imageclas/mnist_png.tgz", 15683414, "03639f83c4e3d19e0a3a53a8a997c487",
     "handwritten digits, 70,000 images of 28 pixels"),
    ("MNIST_SAMPLE", "sample/mnist_sample.tgz", 3214948, "2dbc7ec6f9259b583af0072c55816a88",
     "threes and sevens of MNIST, 14,434 images of 28 pixels"),
    ("MNIST_TINY", "sample/mnist_tiny.tgz", 342207, "56143e8f24db90d925d82a5a74141875",
     "1,428 threes and sevens of MNIST"),
    ("MNIST_VAR_SIZE_TINY", "imageclas/mnist_var_size_tiny.tgz", 565372, "b71a930f4eb744a4a143a6c7ff7ed67f",
     "1,428 threes and sevens of MNIST in many sizes"),
    ("PASCAL_2007", "imagelocal/pascal_2007.tgz", 1637796771, "433b4706eb7c42bd74e7f784e3fdf244",
     "Pascal VOC 2007: 20 classes, several per image, and boxes"),
    ("PASCAL_2012", "imagelocal/pascal_2012.tgz", 2618908000, "d90e29e54a4c76c0c6fba8355dcbaca5",
     "Pascal VOC 2012: 20 classes, several per image, and boxes"),
    ("PETS", "imageclas/oxford-iiit-pet.tgz", 811706944, "e4db5c768afd933bb91f5f594d7417a4",
     "Oxford-IIIT pets: 37 breeds of cats and dogs, 7,390 photographs"),
    ("PLANET_SAMPLE", "sample/planet_sample.tgz", 15523994, "8bfb174b3162f07fbde09b54555bdb00",
     "satellite images of the Amazon, several labels each, 1,000 images"),
    ("PLANET_TINY", "sample/planet_tiny.tgz", 997569, "490873c5683454d4b2611fb1f00a68a9",
     "200 small satellite images of the Amazon, several labels each"),
    ("SIIM_SMALL", "imagelocal/siim_small.tgz", 33276453, "2f88ac350dce1d971ecbb5ec722da75f",
     "250 chest X-rays in DICOM, with and without pneumothorax"),
    ("TCGA_SMALL", "imagelocal/tcga_small.tgz", 14744474, "3ceffe7cf522cb1c60e93dc555d8817f",
     "histology slides of The Cancer Genome Atlas, a small sample"),
]  # fmt: skip


def _known(name: str, path: str, size: int, md5: str, description: str) -> KnownDataset:
    folder = path.rpartition("/")[2].removesuffix(".tgz")
    return KnownDataset(name, _BUCKET + path, size, md5, None, folder, description, _BUNDLED.get(name))


KNOWN: dict[str, KnownDataset] = {row[0]: _known(*row) for row in _TABLE}
"""Every known data set by its name."""


def find_known(source: str) -> KnownDataset | None:
    """The data set that `source` names, in any case, or whose URL it is; None for anything else.

    >>> find_known("pets") is find_known("https://s3.amazonaws.com/fast-ai-imageclas/oxford-iiit-pet.tgz")
    True
    >>> find_known("my_folder") is None
    True
    """
    named = KNOWN.get(source.upper())
    return named or next((known for known in KNOWN.values() if known.url == source), None)
