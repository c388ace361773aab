"""Child process: five tissue classes of a brain by AMAP (Rajapakse et al. 1997, cat_surf)."""

import sys

import cat_surf
import nibabel as nib
import numpy as np

from workflows.compute.tissue import first_labels


def main(image_file, mask_file, output_file):
    """Write the class probabilities (i, j, k, 5), 0..1, of a bias-corrected brain image."""
    image = nib.load(image_file)
    mask = np.asanyarray(nib.load(mask_file).dataobj) > 0
    volume = np.where(mask, image.get_fdata(dtype=np.float32), 0)
    voxel_mm = np.array(image.header.get_zooms()[:3], float)
    classes, _, _ = cat_surf.vol_amap(volume, first_labels(volume, mask), voxel_mm, pve=True)
    classes = np.where(mask[..., None], classes, 0).astype(np.float32)
    classes /= np.maximum(classes.sum(axis=-1, keepdims=True), 1)
    nib.Nifti1Image(classes, image.affine).to_filename(output_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
