import pytest

from bids_utils.acquisition import acquisition, differences, slice_times

SHAPE, SIZE = (176, 256, 256), (1.0, 1.0, 1.0)


def image(shape=SHAPE, size=SIZE, **metadata):
    return acquisition(metadata, shape, size)


def test_the_field_is_named_with_both_values_the_later_one_first():
    first = image(MagneticFieldStrength=1.5, EchoTime=0.003)
    later = image(size=(0.8, 1.0, 1.0), MagneticFieldStrength=3, EchoTime=0.002)
    assert differences(first, later) == (
        "MagneticFieldStrength 3 T, was 1.5 T",
        "voxel size 0.8 x 1 x 1 mm, was 1 x 1 x 1 mm",
        "EchoTime 0.002 s, was 0.003 s",
    )
    assert differences(later, first)[0] == "MagneticFieldStrength 1.5 T, was 3 T"


@pytest.mark.parametrize(
    ("before", "after", "n_differences"),
    [
        ({"MagneticFieldStrength": 3}, {"MagneticFieldStrength": 2.89}, 0),
        ({"RepetitionTime": 2.3}, {"RepetitionTime": 2.305}, 0),
        ({"RepetitionTime": 2.3}, {"RepetitionTime": 2.4}, 1),
        ({"FlipAngle": 8}, {"FlipAngle": 8.4}, 0),
        ({"FlipAngle": 8}, {"FlipAngle": 9}, 1),
        ({"InversionTime": 0.9}, {"InversionTime": 0.95}, 1),
        ({"Manufacturer": "SIEMENS"}, {"Manufacturer": " Siemens "}, 0),
        ({"ScanningSequence": "GR\\IR"}, {"ScanningSequence": ["GR", "IR"]}, 0),
        ({"SequenceName": "*tfl3d1_16ns"}, {"SequenceName": "tfl3d1_16ns"}, 0),
        ({"DeviceSerialNumber": 67026}, {"DeviceSerialNumber": "67026"}, 0),
        ({"DeviceSerialNumber": 67026}, {"DeviceSerialNumber": 67027}, 1),
        ({"SoftwareVersions": "syngo MR E11"}, {"SoftwareVersions": "syngo MR XA30"}, 1),
        ({"ReceiveCoilName": "Head_32"}, {"ReceiveCoilName": "Head_64"}, 1),
        ({"ReceiveCoilName": "Head_32"}, {}, 0),
        ({"ReceiveCoilName": "n/a"}, {"ReceiveCoilName": "Head_64"}, 0),
        ({"StationName": "MR1"}, {"StationName": "MR2"}, 1),
        ({"PhaseEncodingDirection": "j"}, {"PhaseEncodingDirection": "j-"}, 1),
        ({"EffectiveEchoSpacing": 0.00058}, {"EffectiveEchoSpacing": 0.000581}, 0),
        ({"EchoTime": float("nan")}, {"EchoTime": 0.003}, 0),
        ({"PatientName": "A"}, {"PatientName": "B"}, 0),
    ],
)
def test_only_known_values_that_truly_differ_are_told(before, after, n_differences):
    assert len(differences(image(**before), image(**after))) == n_differences


def test_a_station_that_was_renamed_is_no_other_scanner_if_the_serial_number_is_known():
    first = image(DeviceSerialNumber="1", StationName="MR1")
    assert differences(first, image(DeviceSerialNumber="1", StationName="MR2")) == ()
    assert differences(first, image(DeviceSerialNumber="2", StationName="MR1")) == (
        "DeviceSerialNumber 2, was 1",
    )


def test_size_and_matrix_are_those_of_space_and_axes_count():
    first = image((64, 64, 36, 150), (3.0, 3.0, 3.3))
    assert differences(first, image((64, 64, 36, 120), (3.0, 3.0, 3.31))) == ()
    assert differences(first, image((64, 36, 64, 150), (3.0, 3.3, 3.0))) == (
        "voxel size 3 x 3.3 x 3 mm, was 3 x 3 x 3.3 mm",
        "matrix 64 x 36 x 64, was 64 x 64 x 36",
    )


ORDER = [0.0, 0.5, 0.25]


@pytest.mark.parametrize(
    ("direction", "shape", "axis"),
    [
        (None, (4, 5, 3, 9), "k"),
        ("k-", (4, 5, 3, 9), "k-"),
        ("j", (4, 3, 5, 9), "j"),
        ("i-", (3, 4, 5, 9), "i-"),
    ],
)
def test_slice_times_are_counted_along_their_own_axis(direction, shape, axis):
    metadata = {"SliceTiming": ORDER, "SliceEncodingDirection": direction}
    assert slice_times(metadata, shape, 1.0) == ((0.0, 0.5, 0.25), axis, "")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, ""),
        ({"SliceTiming": [0.0, 0.5]}, "2 times for 3 slices"),
        ({"SliceTiming": "none"}, "not a list of numbers"),
        ({"SliceTiming": [0.0, 500.0, 250.0]}, "goes from 0 to 500, which are no seconds within"),
        ({"SliceTiming": [0.0, 1.0, 0.5]}, "within the repetition time of 1 s"),
        ({"SliceTiming": [-0.1, 0.5, 0.2]}, "goes from -0.1 to 0.5"),
        ({"SliceTiming": ORDER, "SliceEncodingDirection": "LR"}, "SliceEncodingDirection is 'LR'"),
    ],
)
def test_slice_times_that_cannot_be_are_not_used(metadata, problem):
    times_s, _, said = slice_times(metadata, (4, 5, 3, 9), 1.0)
    assert times_s == ()
    assert problem in said
    assert bool(problem) == bool(said)
