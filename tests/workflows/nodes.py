"""Small nodes for tests of running; workers import them by name."""

import os
import signal
import time

from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits

from bids_utils.errors import DatasetError


class _StepInputSpec(BaseInterfaceInputSpec):
    value = traits.Int(mandatory=True)
    fate = traits.Enum("live", "fail", "die", "wait")
    after = traits.Int(desc="waits for this")


class _StepOutputSpec(TraitedSpec):
    out = traits.Int()


class Step(SimpleInterface):
    """Adds one, raises a DatasetError, is killed, or waits for a minute."""

    input_spec = _StepInputSpec
    output_spec = _StepOutputSpec

    def _run_interface(self, runtime):
        if self.inputs.fate == "fail":
            raise DatasetError("a.nii.gz: broken; copy it again")
        if self.inputs.fate == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.inputs.fate == "wait":
            time.sleep(60)
        self._results["out"] = self.inputs.value + 1
        return runtime
