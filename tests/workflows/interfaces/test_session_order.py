import hashlib

from workflows.interfaces.session_order import ArrangeSessions, RestoreOrder


def images(tmp_path, contents):
    files = []
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        files.append(str(tmp_path / name))
    return files


def test_sessions_come_in_the_order_of_their_content_whatever_their_order(tmp_path):
    files = images(tmp_path, {"a": "third", "b": "1", "c": "second"})
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in ("third", "1", "second")]
    wanted = [file for _, file in sorted(zip(digests, files, strict=True))]
    for given in (files, files[::-1], [files[1], files[2], files[0]]):
        outputs = ArrangeSessions(in_files=given).run().outputs
        assert outputs.out_files == wanted
        assert [given[place] for place in outputs.order] == wanted


def test_lists_come_back_as_the_sessions_were_given(tmp_path):
    files = images(tmp_path, {"x": "1", "y": "2", "z": "3"})
    restore = RestoreOrder(("maps", "tables"), order=[2, 0, 1])
    restore.inputs.maps = files
    outputs = restore.run().outputs
    assert outputs.maps == [files[1], files[2], files[0]]


def test_an_unreadable_image_is_left_to_the_nodes_that_tell_of_it(tmp_path):
    files = [*images(tmp_path, {"x": "1"}), str(tmp_path / "gone")]
    assert ArrangeSessions(in_files=files).run().outputs.out_files == files[::-1]
