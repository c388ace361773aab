"""Child process: bias field of one image by N4 (Tustison et al. 2010), inside a mask."""

import argparse
import sys

import SimpleITK as sitk  # noqa: N813 - its usual name

from workflows.processes import die_with_pipe

# The fourth level is what takes out strong fields: three leave most of their size.
LEVELS = [50, 50, 50, 50]


def main(arguments=None):
    """Write the bias-corrected image; the field is estimated on the shrunk image."""
    parser = argparse.ArgumentParser()
    for name in ("image", "mask", "output"):
        parser.add_argument(name)
    parser.add_argument("--shrink", type=int, nargs=3, required=True, help="voxels per axis")
    options = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = sitk.ReadImage(options.image, sitk.sitkFloat32)
    mask = sitk.ReadImage(options.mask, sitk.sitkUInt8)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(LEVELS)
    corrector.Execute(sitk.Shrink(image, options.shrink), sitk.Shrink(mask, options.shrink))
    field = sitk.Exp(corrector.GetLogBiasFieldAsImage(image))
    sitk.WriteImage(sitk.Cast(image / field, sitk.sitkFloat32), options.output)


if __name__ == "__main__":
    die_with_pipe(sys.stdin.fileno())
    main()
