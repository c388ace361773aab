"""Each atlas on the brain of its space and on that of the images: pictures and figures.

    python benchmarks/atlases.py OUTPUT_FOLDER [NAME ...]

Prints the share of the cortical labels that is grey matter of MNI152NLin2009aSym before and after
they were carried there, and writes NAME_own.png and NAME_home.png. Atlases of TemplateFlow must be
in its cache.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
from nilearn import datasets
from nilearn.image import resample_to_img

from configs.atlases import Atlas, find_atlas
from workflows.atlas import standard_atlas
from workflows.drawing.canvas import png_bytes
from workflows.drawing.slices import labelled_slices
from workflows.interfaces.atlas import read_labels
from workflows.interfaces.figures import volume_of

SHIPPED = ("DesikanKilliany", "Schaefer100x17")


def labels_on(atlas, image):
    """Labels (i, j, k) of an atlas at the voxels of an image, as the two headers say."""
    options = {"interpolation": "nearest", "force_resample": True, "copy_header": True}
    return np.rint(volume_of(resample_to_img(nib.load(atlas.file), image, **options)).data)


def draw(atlas: Atlas, brain, file: Path) -> None:
    """Write a picture of the labels on a brain."""
    figure = labelled_slices(volume_of(brain), labels_on(atlas, brain).astype(int), file.stem)
    file.write_bytes(png_bytes(figure))


def grey_share(atlas: Atlas, regions) -> float:
    """Share of the cortical label voxels that is grey matter of MNI152NLin2009aSym."""
    grey = datasets.load_mni152_gm_template(resolution=1)
    cortex = regions.loc[regions["structure"] == "cortex", "index"]
    return float(np.mean(volume_of(grey).data[np.isin(labels_on(atlas, grey), cortex)] >= 0.5))


def main(output: Path, names) -> None:
    """Show the atlases with these names."""
    warnings.simplefilter("ignore")
    home = datasets.load_mni152_template(resolution=1)

    def run(workflow):
        workflow.base_dir = str(output / "work")
        workflow.run()

    for name in names:
        own = find_atlas(name)
        ready = standard_atlas(own, output, run)
        brain = nib.as_closest_canonical(nib.load(own.brain_file)) if own.brain_file else home
        draw(own, brain, output / f"{name}_own.png")
        draw(ready, home, output / f"{name}_home.png")
        regions = read_labels(ready.labels_file)
        before, after = grey_share(own, regions), grey_share(ready, regions)
        print(f"{name}: {len(regions)} regions, cortex in grey matter {before:.3f} > {after:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or SHIPPED)
